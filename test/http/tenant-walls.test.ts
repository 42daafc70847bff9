/** The walls between tenants, each alone: the service's own, and the policies of the database. */
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { asOperator } from '../../src/storage/operator.ts';
import { installRowLevel } from '../../src/storage/row-level/install.ts';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import type { TestDatabase } from '../support/database.ts';
import { type Build, buildOf, soundBuild } from '../support/replicas.ts';
import { type OwnServer, startOwnServer } from '../support/servers.ts';
import { startTestService, type TestService } from '../support/service.ts';
import { buildTenants, leaksTo, trespass, trespasses } from '../support/tenants.ts';

/** Of its own, because roles belong to the whole server. */
let server: OwnServer;
let sql: postgres.Sql;
/** The database as a login that may do what `rolecall_service` may, so that the policies count for it. */
let asService: TestDatabase;
let adminKey: string;
/** Of whoever looks after acme. */
let key: string;

beforeAll(async () => {
  server = await startOwnServer();
  sql = postgres(server.url, { max: 1, onnotice: () => {} });
  await asOperator(server.url, 'read write', installRowLevel);
  await sql`create role serve login password 'tenants' in role rolecall_service`;
  const url = Object.assign(new URL(server.url), { username: 'serve', password: 'tenants' }).href;
  asService = { url, drop: async () => {} };
  const service = await startTestService({ database: asService });
  adminKey = service.adminKey;
  key = await buildTenants(service);
  await service.close();
});
afterAll(async () => {
  await sql.end();
  await server.remove();
});

/** What comes of work with the service as this login, as it is or of a broken build. */
async function on<T>(build: Build, work: (service: TestService) => Promise<T>): Promise<T> {
  const service = await startTestService({ database: asService, adminKey, build });
  try {
    return await work(service);
  } finally {
    await service.close();
  }
}

async function leaks(service: TestService): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const leak of leaksTo(key, service)) found.push(leak);
  return found;
}

/** Whether anything is told that should not be. */
const leaksAny = async (service: TestService) => !(await leaksTo(key, service).next()).done;

/** The first write that changed something where whoever tried has nothing; undefined if none did. */
async function trespassed(service: TestService): Promise<string | undefined> {
  for (const operation of trespasses)
    if ((await trespass(operation, key, service, sql)).hasChanged) return operation.operationId;
  return undefined;
}

const sight = 'domain/sight.ts';
const breakages: Readonly<Record<string, Breakage>> = {
  'shows every grant and exception': {
    file: sight,
    replace: 'return scopes.some((held) => covers(held, scope)) &&',
    by: 'return (scopes.some((held) => covers(held, scope)) || true) &&',
  },
  'lists and finds every user, grant and key': {
    file: 'storage/sight.ts',
    replace: 'if (isUnlimited(sight)) return undefined;',
    by: 'if (isUnlimited(sight) || raw) return undefined;',
  },
};

describe('whoever looks after one tenant', { timeout: 600_000 }, () => {
  test('sees nothing of another with the policies in force (A-05)', async () => {
    expect(await on(soundBuild, leaks)).toEqual([]);
    expect(await on(soundBuild, trespassed)).toBe(undefined);
  });

  test.for(Object.entries(breakages))(
    'sees something of another in a build that %s, though the policies are in force (A-05)',
    async ([, breakage]) => {
      await withBrokenBuild(breakage, async (load) =>
        expect(await on(await buildOf(load), leaksAny)).toBe(true),
      );
    },
  );

  test('changes something of another in a build without both checks of the scope, though the policies are in force (A-05)', async () => {
    const withoutScope: readonly Breakage[] = [
      {
        file: 'services/guard.ts',
        replace: 'if (!powers.every((power) => holds(power, needed))) throw',
        by: 'if (powers.length === 0) throw',
      },
      {
        file: 'services/decisions/access-check.ts',
        replace: 'if (scope !== null) requireOn(',
        by: 'if (scope === undefined) requireOn(',
      },
    ];
    await withBrokenBuild(withoutScope, async (load) =>
      expect(await on(await buildOf(load), trespassed)).toBeDefined(),
    );
  });

  test('sees nothing of another without any policy: that wall is the service’s own (A-05)', async () => {
    const tables = await sql<{ relname: string }[]>`
      select relname from pg_class where relnamespace = 'rolecall'::regnamespace and relkind = 'r'`;
    for (const { relname } of tables)
      await sql.unsafe(
        `alter table rolecall."${relname}" disable row level security, no force row level security`,
      );
    expect(await on(soundBuild, leaks)).toEqual([]);
  });
});
