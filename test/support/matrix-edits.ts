/** An environment of which the matrix is one of several hands, and what people do there past the matrix. */
import fc from 'fast-check';
import postgres from 'postgres';
import type { PermissionSlug, RoleKey, Scope, UserId } from '../../src/domain/ids.ts';
import type { openRuntime, Runtime } from '../../src/runtime.ts';
import { operatorCall } from '../../src/services/call.ts';
import type { TestDatabase } from './database.ts';
import { type EdgeEdit, edgeEdits, keys, slugs } from './matrix-draws.ts';
import { openTestRuntime } from './runtime.ts';

export interface Environment {
  readonly runtime: Runtime;
  /** Past the service, to see what is stored. */
  readonly sql: postgres.Sql;
  close(): Promise<void>;
}

/** The services of a build on a database, which is dropped with them. */
export async function openEnvironment(
  database: TestDatabase,
  open?: typeof openRuntime,
): Promise<Environment> {
  const runtime = await openTestRuntime(database.url, { ROLECALL_POOL_SIZE: '2' }, open);
  const sql = postgres(database.url, { max: 1, onnotice: () => {} });
  return {
    runtime,
    sql,
    async close() {
      await runtime.close();
      await sql.end();
      await database.drop();
    },
  };
}

export const users = ['anna', 'ben', 'carl', 'dora'] as UserId[];
const hour = 3_600_000;

/** Hours from now between which something holds; null where it is not bounded. */
interface Hours {
  readonly from: number | null;
  readonly until: number | null;
}

/** What people do through the API that is not about edges. */
type PeopleEdit =
  | {
      readonly kind: 'grant';
      readonly user: UserId;
      readonly role: RoleKey;
      readonly scope: Scope;
      readonly hours: Hours | null;
    }
  | {
      readonly kind: 'exception';
      readonly user: UserId;
      readonly permission: PermissionSlug;
      readonly scope: Scope;
      readonly effect: 'allow' | 'deny';
      readonly hours: Hours | null;
    }
  | { readonly kind: 'active'; readonly user: UserId; readonly active: boolean }
  | { readonly kind: 'words'; readonly role: RoleKey; readonly name: string };

export type Edit = EdgeEdit | PeopleEdit;

const scopes = fc.constantFrom('', '', 'north', 'north/dock') as fc.Arbitrary<Scope>;
const hours = fc.constantFrom<(Hours | null)[]>(
  ...Array<Hours>(4).fill({ from: null, until: null }),
  { from: 1, until: null },
  { from: null, until: 1 },
  { from: 1, until: 2 },
  null,
);
const user = fc.constantFrom(...users);
/** The last one has exceptions only. */
const holder = fc.constantFrom(...users.slice(0, -1));

const grants = fc.record({
  kind: fc.constant('grant' as const),
  user: holder,
  role: fc.constantFrom(...keys),
  scope: scopes,
  hours,
});
const exceptions = fc.record({
  kind: fc.constant('exception' as const),
  user,
  permission: fc.constantFrom(...slugs),
  scope: scopes,
  effect: fc.constantFrom('allow' as const, 'deny' as const),
  hours,
});
const activity = fc.record({ kind: fc.constant('active' as const), user, active: fc.boolean() });
const words = fc.record({
  kind: fc.constant('words' as const),
  role: fc.constantFrom(...keys),
  name: fc.constantFrom('One', 'Mine'),
});

export const edits: fc.Arbitrary<Edit> = fc.oneof(
  { weight: 6, arbitrary: edgeEdits },
  { weight: 6, arbitrary: grants },
  { weight: 3, arbitrary: exceptions },
  { weight: 1, arbitrary: activity },
  { weight: 1, arbitrary: words },
);

export const call = () => operatorCall(60_000);

/** Makes an edit as the service lets people. Answers with the code of the refusal, if it is one. */
export function makeEdit({ runtime }: Pick<Environment, 'runtime'>, edit: Edit): Promise<string | undefined> {
  switch (edit.kind) {
    case 'edge': {
      const { role, permission, give } = edit;
      return refusalOf(runtime.roleEdges[give ? 'give' : 'withhold'](call(), role, permission));
    }
    case 'include': {
      const { role, included, give } = edit;
      return refusalOf(runtime.roleEdges[give ? 'include' : 'exclude'](call(), role, included));
    }
    case 'grant': {
      const { user, role, scope, hours } = edit;
      return refusalOf(
        hours
          ? runtime.grants.put(call(), user, role, scope, termsOf(hours))
          : runtime.grants.remove(call(), user, role, scope),
      );
    }
    case 'exception': {
      const { user, permission, scope, effect, hours } = edit;
      return refusalOf(
        hours
          ? runtime.exceptions.put(call(), user, permission, scope, { ...termsOf(hours), effect })
          : runtime.exceptions.remove(call(), user, permission, scope),
      );
    }
    case 'active':
      return refusalOf(runtime.users.update(call(), edit.user, { active: edit.active }));
    case 'words':
      return refusalOf(runtime.roles.update(call(), edit.role, { name: edit.name }));
  }
}

function termsOf({ from, until }: Hours) {
  const at = (bound: number | null) => (bound === null ? null : Date.now() + bound * hour);
  return { startsAt: at(from), expiresAt: at(until), reason: null };
}

/** The code with which the service refuses; undefined if it does not. What is no refusal is thrown. */
export async function refusalOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    // Another build has a class of its own for its errors.
    if (error instanceof Error && error.name === 'RolecallError')
      return (error as Error & { code: string }).code;
    throw error;
  }
}
