import { performance } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { long, spread, summarize } from '../support/long-run.ts';
import {
  type Build,
  buildOf,
  type Replica,
  type Replicas,
  soundBuild,
  startReplica,
  startReplicas,
} from '../support/replicas.ts';
import { ask, buildVault, grant, outcome, outcomeOf, permission, role } from '../support/vault.ts';

let started: Replicas;
let undo: (() => Promise<unknown>)[] = [];
beforeEach(async () => {
  started = await startReplicas(1);
  await buildVault(started.replicas[0] as Replica, ['ann', 'bob']);
});
afterEach(async () => {
  for (const step of undo.reverse()) await step();
  undo = [];
  await started.close();
});

const metric = async (replica: Replica, name: string) =>
  Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(await replica.runtime.metrics.text())?.[1]);

describe('many who ask at once', () => {
  /** What a thousand are told who ask the same at once, and how often the head was read for them. */
  async function askThousand(build: Build) {
    const asked = await startReplica(started.database.url, started.adminKey, { build });
    undo.push(() => asked.close());
    const askAll = () => Promise.all(Array.from({ length: 1_000 }, () => ask(asked, { user: 'ann' })));
    // Making as many connections takes longer than all of their questions.
    await askAll();
    const before = await metric(asked, 'rolecall_questions_per_head_read_count');
    const answers = await askAll();
    const reads = (await metric(asked, 'rolecall_questions_per_head_read_count')) - before;
    return { reads, told: new Set(answers.map(outcomeOf)) };
  }

  test('the same share one read of the head and one of the user, and each has a deadline of its own (C-13)', async () => {
    const { reads, told } = await askThousand(soundBuild);
    expect([...told]).toEqual(['denied']);
    summarize('C-13, reads of the head for 1,000 questions at once', { reads });
    expect(reads).toBeLessThan(100);
  });

  test('have a read each in a build that does not share them', async () => {
    const breakage: Breakage = {
      file: 'services/decisions/freshness.ts',
      replace: 'return reads.ask(since);',
      by: 'noteSharers(1);\n      return confirm();',
    };
    await withBrokenBuild(breakage, async (load) => {
      const { reads } = await askThousand(await buildOf(load));
      expect(reads).toBeGreaterThan(100);
    });
  });

  /** What comes of asking so many cold replicas about that many users, two thousand times a second. */
  async function askCold(many: number, people: number, perReplica: number, build: Build) {
    const { sql, database, adminKey } = started;
    await sql`insert into rolecall.users (id) select 'user-' || n from generate_series(1, ${people}::int) as n`;
    await sql`insert into rolecall.user_roles (user_pk, role_pk, scope)
      select users.pk, roles.pk, '' from rolecall.users, rolecall.roles
      where users.id like 'user-%' and roles.key = ${role}`;
    let most = 0;
    let watching = true;
    const watch = (async () => {
      while (watching) {
        const [row] = await sql<{ n: number }[]>`
          select count(*)::int as n from pg_stat_activity
          where datname = current_database() and application_name like 'rolecall%'`;
        most = Math.max(most, row?.n ?? 0);
        await pause(5);
      }
    })();
    const opening = Array.from({ length: many }, () =>
      startReplica(database.url, adminKey, { listens: true, build }),
    );
    const replicas = await Promise.all(opening);
    undo.push(() => Promise.all(replicas.map((replica) => replica.close())));
    const milliseconds: number[] = [];
    const asking: Promise<unknown>[] = [];
    for (let index = 0; index < many * perReplica; index += 1) {
      const user = `user-${((index * 104_729) % people) + 1}`;
      const begun = performance.now();
      const asked = outcome(replicas[index % many] as Replica, { user });
      asking.push(asked.finally(() => milliseconds.push(performance.now() - begun)));
      // Two thousand in a second.
      if (index % 20 === 19) await pause(10);
    }
    const answers = await Promise.all(asking);
    watching = false;
    await watch;
    const reads = async (name: string) =>
      (await Promise.all(replicas.map((replica) => metric(replica, name)))).reduce(
        (sum, each) => sum + each,
        0,
      );
    const ofRows = await reads('rolecall_row_reads_total\\{from="primary"\\}');
    const ofHead = await reads('rolecall_questions_per_head_read_count');
    return { answers, most, ofRows, ofHead, milliseconds };
  }

  /** Of each: a pool of 3, one for the head, one that listens; and the one that was there before. */
  const connectionsOf = (many: number) => many * 5 + 5;

  test('of many cold replicas stay within the connections they may have, and all are answered (F-20)', {
    timeout: 600_000,
  }, async () => {
    const many = long ? 20 : 6;
    const people = long ? 1_000_000 : 2_000;
    const seen = await askCold(many, people, long ? 1_000 : 100, soundBuild);
    const { answers, most, ofRows, ofHead, milliseconds } = seen;
    summarize('F-20', {
      replicas: many,
      users: people,
      questions: answers.length,
      refused: answers.filter((answer) => answer === 503).length,
      wrong: answers.filter((answer) => answer !== 503 && answer !== 'allowed').length,
      'most connections': most,
      'reads of rows': ofRows,
      'reads of the head': ofHead,
      ...spread(milliseconds),
    });
    // No more than one for each question, and one for whoever asks it.
    expect(ofRows).toBeLessThanOrEqual(answers.length + many * 2);
    expect(answers.every((answer) => answer === 'allowed')).toBe(true);
    expect(most).toBeLessThanOrEqual(connectionsOf(many));
  });

  const userCache = 'services/decisions/user-cache.ts';
  const fills: Breakage = {
    file: userCache,
    replace: 'const mostFills = 4;',
    by: 'const mostFills = 1_000;',
  };

  test('are turned away by a build whose misses do not gather (F-20)', async () => {
    const breakage = { file: userCache, replace: 'this.#gathering ??= ', by: 'this.#gathering = ' };
    await withBrokenBuild(breakage, async (load) => {
      const { answers } = await askCold(2, 2_000, 300, await buildOf(load));
      expect(answers).toContain(503);
    });
  });

  test('take more connections than they may in a build whose pool has no bound (F-20)', async () => {
    const gate = 'new Gate(options.poolSize, longestQueue)';
    const pool: Breakage = {
      file: 'storage/database.ts',
      replace: gate,
      by: gate.replace('options.poolSize', '1_000'),
    };
    const apart: Breakage = {
      file: userCache,
      replace: 'this.#gathering ??= ',
      by: 'this.#gathering = ',
    };
    await withBrokenBuild([pool, fills, apart], async (load) => {
      const { most } = await askCold(2, 2_000, 300, await buildOf(load));
      expect(most).toBeGreaterThan(connectionsOf(2));
    });
  });
});

describe('rows that the service would never have made (F-19)', () => {
  /** A new replica on what is stored now, which must answer about everybody. */
  async function answersAfter(build = soundBuild): Promise<readonly unknown[]> {
    const fresh = await startReplica(started.database.url, started.adminKey, { build });
    undo.push(() => fresh.close());
    return Promise.all(['ann', 'bob', 'root', 'nobody'].map((user) => outcome(fresh, { user })));
  }

  beforeEach(async () => {
    await grant(started.replicas[0] as Replica, 'ann');
  });

  async function circle() {
    await started.sql`insert into rolecall.roles (key, name) values ('round', 'Round')`;
    await started.sql`
      insert into rolecall.role_includes (role_pk, included_pk, origin)
      select one.pk, other.pk, 'api' from rolecall.roles as one, rolecall.roles as other
      where (one.key, other.key) in (('round', ${role}), (${role}, 'round'))`;
  }

  test('roles that include each other in a circle', async () => {
    await circle();
    expect(await answersAfter()).toEqual(['allowed', 'denied', 'denied', 'denied']);
  });

  test('roles that include each other 10,000 deep, in whatever order they are read', async () => {
    await started.sql`insert into rolecall.roles (key, name) select 'deep' || n, 'Deep' from generate_series(1, 10000) as n`;
    await started.sql`
      insert into rolecall.role_includes (role_pk, included_pk, origin)
      select one.pk, other.pk, 'api' from generate_series(1, 9999) as n
      join rolecall.roles as one on one.key = 'deep' || n
      join rolecall.roles as other on other.key = 'deep' || (n + 1)`;
    await started.sql`
      insert into rolecall.role_includes (role_pk, included_pk, origin)
      select one.pk, other.pk, 'api' from rolecall.roles as one, rolecall.roles as other
      where (one.key, other.key) = ('deep10000', ${role})`;
    await started.sql`
      insert into rolecall.user_roles (user_pk, role_pk, scope)
      select users.pk, roles.pk, '' from rolecall.users, rolecall.roles where id = 'bob' and key = 'deep1'`;
    expect(await answersAfter()).toEqual(['allowed', 'allowed', 'denied', 'denied']);
  });

  test('a role with a great many permissions', { timeout: 300_000 }, async () => {
    const many = long ? 200_000 : 10_000;
    await started.sql`insert into rolecall.permissions (resource, action)
      select 'many', 'do' || n from generate_series(1, ${many}::int) as n`;
    await started.sql`
      insert into rolecall.role_permissions (role_pk, permission_pk, origin)
      select roles.pk, permissions.pk, 'api' from rolecall.roles, rolecall.permissions
      where key = ${role} and resource = 'many'`;
    expect(await answersAfter()).toEqual(['allowed', 'denied', 'denied', 'denied']);
  });

  async function unconstrained() {
    const { sql } = started;
    await sql`alter table rolecall.user_permissions drop constraint user_permissions_effect_known,
      drop constraint user_permissions_scope_form`;
    await sql`alter table rolecall.user_roles drop constraint user_roles_scope_form`;
    await sql`
      insert into rolecall.user_permissions (user_pk, permission_pk, effect, scope)
      select users.pk, permissions.pk, 'perhaps', scope
      from rolecall.users, rolecall.permissions, unnest(array['', ' ', 'a//b', '/']) as scope
      where id = 'bob' and slug = 'vault_open'`;
    await sql`insert into rolecall.user_roles (user_pk, role_pk, scope)
      select users.pk, roles.pk, scope from rolecall.users, rolecall.roles, unnest(array[' ', 'a//b', '/']) as scope
      where id = 'bob' and key = ${role}`;
    await sql`insert into rolecall.settings (key, value) values
      ('lease_ms', '"soon"'), ('authorize_batch_limit', '{"many": true}'), ('of_another_release', '[1]')`;
  }

  test('an effect, a scope and a setting that no constraint would let pass', async () => {
    await unconstrained();
    expect(await answersAfter()).toEqual(['allowed', 'denied', 'denied', 'denied']);
  });

  test('a revision from the future', async () => {
    await started.sql`update rolecall.revision set value = value + 1000000`;
    expect(await answersAfter()).toEqual(['allowed', 'denied', 'denied', 'denied']);
    expect(await outcome(started.replicas[0] as Replica, { user: 'ann' })).toBe('allowed');
  });

  const breakages: Readonly<
    Record<string, readonly [Breakage, poison: () => Promise<void>, answers: readonly unknown[]]>
  > = {
    'walks in circles': [
      {
        file: 'domain/decision/catalogue.ts',
        replace:
          'for (const next of reached) for (const included of this.includedIn(next)) reached.add(included);',
        by: `const walk = (next: RoleKey) => {
        for (const included of this.includedIn(next)) walk((reached.add(included), included));
      };
      walk(role);`,
      },
      circle,
      [500, 'denied', 'denied', 'denied'],
    ],
    'takes what it does not know for an allow': [
      {
        file: 'domain/decision/user-access.ts',
        replace: "if (one.effect === 'allow') given",
        by: "if (one.effect !== 'deny') given",
      },
      unconstrained,
      ['allowed', 'allowed', 'denied', 'denied'],
    ],
    'answers nobody for one bad row': [
      {
        file: 'domain/settings.ts',
        replace: '  return counts ? stored : definition.default;',
        by: "  if (stored !== undefined && !counts) throw new Error('a bad row');\n  return counts ? stored : definition.default;",
      },
      unconstrained,
      [500, 500, 500, 500],
    ],
  };
  test.for(Object.entries(breakages))('find out a build that %s', async ([, [breakage, poison, answers]]) => {
    await poison();
    await withBrokenBuild(breakage, async (load) =>
      expect(await answersAfter(await buildOf(load))).toEqual(answers),
    );
  });
});

/** Names that were each given the role alone, with those who then may what it gives. */
async function holdersInMemory(build: Build): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>();
  const [writer] = started.replicas as readonly [Replica];
  const names = [
    'a',
    'A',
    'a:b',
    'a',
    'a,b',
    'a|b',
    'a$$b',
    '["a","b"]',
    '["a,b"]',
    "a'b",
    'é',
    'e\u0301',
    '__proto__',
    'constructor',
    '0',
    '-0',
    'null',
  ];
  const people = [...new Set(names)];
  const asked = await startReplica(started.database.url, started.adminKey, { build });
  undo.push(() => asked.close());
  for (const id of people) await writer.request({ method: 'POST', url: '/users', payload: { id } });
  for (const holder of people) {
    const place = `/users/${encodeURIComponent(holder)}/roles/${role}`;
    const { status } = await writer.request({ method: 'PUT', url: place, payload: {} });
    if (status !== 200 && status !== 201) continue;
    const checks = people.map((user) => ({ user, permission }));
    const { body } = await asked.request({ method: 'POST', url: '/authorize/batch', payload: { checks } });
    const { results } = body as { results: { allowed: boolean }[] };
    found.set(
      holder,
      people.filter((_, index) => results[index]?.allowed),
    );
    await writer.request({ method: 'DELETE', url: place });
  }
  return found;
}

test('names that look alike are different people in memory too (C-12)', async () => {
  const found = await holdersInMemory(soundBuild);
  expect(found.size).toBeGreaterThan(10);
  for (const [holder, holders] of found) expect(holders).toEqual([holder]);
});

test.for([
  ['in capitals', 'a', 'A', '.toLowerCase()'],
  ['composed', 'é', 'e\u0301', ".normalize('NFC')"],
] as const)(
  'are the same in a build that takes names that are alike %s for one (C-12)',
  async ([, one, other, fold]) => {
    const file = 'services/decisions/user-cache.ts';
    const folded = (replace: string, name: string): Breakage => ({
      file,
      replace,
      by: replace.replace(name, `(${name}${fold} as UserId)`),
    });
    const breakage = [folded('this.#users.get(id)', 'id'), folded('this.#users.set(row.id,', 'row.id')];
    await withBrokenBuild(breakage, async (load) => {
      const found = await holdersInMemory(await buildOf(load));
      expect([found.get(one), found.get(other)]).not.toEqual([[one], [other]]);
    });
  },
);
