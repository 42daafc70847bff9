import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decide } from '../../src/domain/decision/decide.ts';
import { compileAccess } from '../../src/domain/decision/user-access.ts';
import type { PermissionSlug, Scope, UserId } from '../../src/domain/ids.ts';
import { handleOn } from '../../src/storage/database.ts';
import { openCatalogueAt } from '../../src/storage/read-models/catalogue-at.ts';
import { loadFacts } from '../../src/storage/read-models/facts.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { referenceDecision, referenceRoles } from '../support/reference-model.ts';
import {
  questionsAbout,
  roleIn,
  type StoredQuestion,
  type StoredWorld,
  slugIn,
  storable,
  store,
  userIn,
} from '../support/stored-worlds.ts';
import { instants, worlds } from '../support/worlds.ts';

const long = process.env['TEST_LONG'] !== undefined;
const cases = long ? 100_000 : 5_000;
const perBatch = 20;
const aboutOneWorld = questionsAbout('permissions', { number: 0, at: 0, world: emptyWorld() }).length;

let database: TestDatabase;
let sql: postgres.Sql;
beforeAll(async () => {
  database = await createTestDatabase();
  sql = postgres(database.url, { max: 1, onnotice: () => {} });
});
afterAll(async () => {
  await sql.end();
  await database.drop();
});

function emptyWorld() {
  return { permissions: new Map(), users: new Map(), includes: [], edges: [] };
}

/** Random worlds as the database holds them, each at some instant of its own. */
function drawWorlds(count: number, always?: { seed: number; first: number }): StoredWorld[] {
  const drawn = fc.sample(fc.tuple(worlds, fc.constantFrom(...instants)), {
    numRuns: count,
    ...(always && { seed: always.seed }),
  });
  return drawn.map(([world, at], place) => ({
    number: (always?.first ?? 0) + place,
    at,
    world: storable(world),
  }));
}

function hasContestedInclude({ world }: StoredWorld): boolean {
  return world.includes.some(
    ({ role, included, withheld }) =>
      withheld &&
      world.includes.some((row) => row.role === role && row.included === included && !row.withheld),
  );
}

/** Does `work` in a transaction of which nothing stays. */
async function undone<T>(work: (transaction: postgres.TransactionSql) => Promise<T>): Promise<T> {
  const result: { value?: T } = {};
  const stop = new Error('undone');
  await sql
    .begin(async (transaction) => {
      result.value = await work(transaction);
      throw stop;
    })
    .catch((error: unknown) => {
      if (error !== stop) throw error;
    });
  return result.value as T;
}

function columns(
  questions: readonly StoredQuestion[],
  nameOf: (stored: StoredWorld, what: string) => string,
) {
  return JSON.stringify(
    questions.map(({ stored, user, what, scope }) => [userIn(stored, user), nameOf(stored, what), scope]),
  );
}

async function askPermissions(on: postgres.TransactionSql, questions: readonly StoredQuestion[]) {
  const rows = await on<{ allowed: boolean }[]>`
    select rolecall.has_permission(asked ->> 0, asked ->> 1, asked ->> 2) as allowed
    from jsonb_array_elements(${columns(questions, slugIn)}::text::jsonb) with ordinality as q (asked, place)
    order by place`;
  return rows.map(({ allowed }) => allowed);
}

async function askRoles(on: postgres.TransactionSql, questions: readonly StoredQuestion[]) {
  const rows = await on<{ has: boolean }[]>`
    select rolecall.has_role(asked ->> 0, asked ->> 1, asked ->> 2) as has
    from jsonb_array_elements(${columns(questions, roleIn)}::text::jsonb) with ordinality as q (asked, place)
    order by place`;
  return rows.map(({ has }) => has);
}

/** What the user may do by the functions that ask for whom the transaction works, fetched once for each permission. */
async function askAsCurrentUser(on: postgres.TransactionSql, questions: readonly StoredQuestion[]) {
  const allowed = new Map<StoredQuestion, boolean>();
  for (const who of new Set(questions.map(({ stored, user }) => userIn(stored, user)))) {
    const theirs = questions.filter(({ stored, user }) => userIn(stored, user) === who);
    await on`select set_config('rolecall.user_id', ${who}, true)`;
    const rows = await on<{ can: boolean; covered: boolean }[]>`
      select rolecall.can(asked ->> 1, asked ->> 2) as can, rolecall.covers(held, asked ->> 2) as covered
      from jsonb_array_elements(${columns(theirs, slugIn)}::text::jsonb) with ordinality as q (asked, place)
      join (select slug, rolecall.scopes_of(slug) as held from jsonb_array_elements_text(
          ${JSON.stringify([...new Set(theirs.map(({ stored, what }) => slugIn(stored, what)))])}::text::jsonb) as slug
        ) as fetched on slug = asked ->> 1
      order by place`;
    rows.forEach(({ can, covered }, place) => {
      expect(covered).toBe(can);
      allowed.set(theirs[place] as StoredQuestion, can);
    });
  }
  return questions.map((question) => allowed.get(question));
}

/** What the service answers: its own rows, its own decision. */
async function askService(on: postgres.TransactionSql, questions: readonly StoredQuestion[]) {
  const users = new Set(questions.map(({ stored, user }) => userIn(stored, user) as UserId));
  const facts = await loadFacts(handleOn(on, sql), openCatalogueAt(), [...users]);
  return questions.map(({ stored, user, what, scope }) => {
    const slug = slugIn(stored, what) as PermissionSlug;
    const access = facts.users.get(userIn(stored, user) as UserId);
    const compiled = access && compileAccess(facts.catalogue, access, facts.now);
    return decide(facts.catalogue, compiled, slug, scope as Scope).allowed;
  });
}

const expectedPermission = ({ stored: { world, at }, user, what, scope }: StoredQuestion) =>
  referenceDecision(world, user, what, scope, at).allowed;
const expectedRole = ({ stored: { world, at }, user, what, scope }: StoredQuestion) =>
  referenceRoles(world, user, scope, at).includes(what);

const named = ({ stored, ...question }: StoredQuestion) => ({
  ...question,
  at: stored.at,
  world: JSON.stringify(stored.world, (_, value) => (value instanceof Map ? [...value] : value)),
});

/** The questions that were answered otherwise than expected. */
function wrong(
  questions: readonly StoredQuestion[],
  answers: readonly (boolean | undefined)[],
  expected: (question: StoredQuestion) => boolean,
) {
  return questions.filter((question, place) => answers[place] !== expected(question)).map(named);
}

describe('on random graphs', () => {
  test(`SQL, the service and the reference model answer ${cases} questions alike (1.12)`, async () => {
    let asked = 0;
    let allowed = 0;
    while (asked < cases) {
      const drawn = drawWorlds(perBatch);
      const aboutPermissions = drawn.flatMap((stored) => questionsAbout('permissions', stored));
      const aboutRoles = drawn.flatMap((stored) => questionsAbout('roles', stored));
      await undone(async (transaction) => {
        await store(transaction, drawn);
        const answers = await askPermissions(transaction, aboutPermissions);
        expect(wrong(aboutPermissions, answers, expectedPermission)).toEqual([]);
        expect(await askService(transaction, aboutPermissions)).toEqual(answers);
        expect(await askAsCurrentUser(transaction, aboutPermissions)).toEqual(answers);
        expect(wrong(aboutRoles, await askRoles(transaction, aboutRoles), expectedRole)).toEqual([]);
        allowed += answers.filter(Boolean).length;
      });
      asked += perBatch * aboutOneWorld;
    }
    expect(allowed / asked).toBeGreaterThan(0.01);
  }, 900_000);
});

describe('a broken function is found out: the one without the rule that', () => {
  const rules: readonly (readonly [rule: string, replace: string, by: string])[] = [
    ['a deny takes away', `AND NOT ((scope || '/') COLLATE "C") ^@ ANY (held.denied)`, ''],
    ['a scope ends at a slash', `nullif(scope, '') || '/', '')`, `scope, '')`],
    ['the empty scope is everywhere', `nullif(scope, '') || '/'`, `scope || '/'`],
    ['a withheld include is none', 'AND tombstone.withheld', 'AND false'],
    ['a tombstone withholds its own include only', 'AND tombstone.included_pk = include.included_pk', ''],
    [
      'includes are followed',
      'JOIN rolecall.role_includes AS include',
      'JOIN (SELECT * FROM rolecall.role_includes WHERE false) AS include',
    ],
    [
      'includes give downwards only',
      'SELECT include.role_pk FROM reached',
      'SELECT include.included_pk FROM reached',
    ],
    ['a withheld edge is none', 'HAVING NOT bool_or(edge.withheld)', ''],
    ['an inactive user may nothing', 'WHERE id = who AND active\n', 'WHERE id = who\n'],
    ['an inactive user has no role', 'users.id = who AND users.active', 'users.id = who'],
    ['a retired permission is none', ' AND retired_at IS NULL', ''],
    ['a role starts', 'coalesce(given.starts_at <= statement_timestamp(), true)', 'true'],
    ['a role expires', 'coalesce(statement_timestamp() < given.expires_at, true)', 'true'],
    ['a grant or exception starts', 'coalesce(starts_at <= statement_timestamp(), true)', 'true'],
    ['a grant or exception expires', 'coalesce(statement_timestamp() < expires_at, true)', 'true'],
    [
      'no end is never',
      'coalesce(statement_timestamp() < expires_at, true)',
      'statement_timestamp() < expires_at',
    ],
    ['exceptions count', 'JOIN asked ON held.permission_pk = asked.pk', 'JOIN asked ON false'],
    ['exceptions are of one permission', 'JOIN asked ON held.permission_pk = asked.pk', 'JOIN asked ON true'],
    ['a role must give the permission', 'WHERE held.role_pk IN (SELECT pk FROM giving)', ''],
    [
      'the granted role must be it',
      'AND given.role_pk IN (SELECT rolecall.including(array(SELECT pk FROM rolecall.roles WHERE key = role)))',
      '',
    ],
    [
      'letters are compared as they are',
      `WHERE id = who AND active`,
      'WHERE lower(id) = lower(who) AND active',
    ],
  ];

  const plenty = drawWorlds(800, { seed: 20_260_101, first: 1_000 });
  // Worlds in which one origin gives an include that another withholds are rare, and two rules are about them.
  const drawn = [...plenty.slice(0, 100), ...plenty.slice(100).filter(hasContestedInclude)];
  const someAbout = (what: 'permissions' | 'roles') =>
    drawn
      .flatMap((stored) => questionsAbout(what, stored))
      .filter(({ stored, user }) => stored.world.users.has(user))
      .filter((_, place) => place % 13 === 0);
  const aboutPermissions = someAbout('permissions');
  const aboutRoles = someAbout('roles');

  beforeAll(async () => {
    await sql.begin((transaction) => store(transaction, drawn));
    await sql`analyze`;
  });

  const findings = (breakage?: string) =>
    undone(async (transaction) => {
      if (breakage !== undefined) await transaction.unsafe(breakage);
      return [
        ...wrong(aboutPermissions, await askPermissions(transaction, aboutPermissions), expectedPermission),
        ...wrong(aboutRoles, await askRoles(transaction, aboutRoles), expectedRole),
      ];
    });

  test.each(rules)('%s', async (_rule, replace, by) => {
    expect((await findings(await brokenFunction(replace, by))).length).toBeGreaterThan(0);
  });

  test('(which the one that is whole has)', async () => {
    expect(await findings()).toEqual([]);
  });

  /** The statement that makes the function in which the text stands, once, with the other text instead. */
  async function brokenFunction(replace: string, by: string): Promise<string> {
    const step = await readFile(
      new URL('../../drizzle/0001_add_row_level_security.sql', import.meta.url),
      'utf8',
    );
    const statements = step.split('--> statement-breakpoint').filter((text) => text.includes(replace));
    const [statement = ''] = statements;
    expect({ statements: statements.length, places: statement.split(replace).length - 1 }, replace).toEqual({
      statements: 1,
      places: 1,
    });
    return statement.replace('CREATE FUNCTION', 'CREATE OR REPLACE FUNCTION').replace(replace, () => by);
  }
});
