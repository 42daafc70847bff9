import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { watch } from '../support/fault-watch.ts';
import { long, summarize } from '../support/long-run.ts';
import { environmentFor, run } from '../support/program.ts';
import {
  type Build,
  buildOf,
  makeRoot,
  type Replica,
  startReplica,
  startReplicas,
} from '../support/replicas.ts';
import { type OwnServer, startOwnServer } from '../support/servers.ts';
import { mayMount, mountSmallDisk, type SmallDisk } from '../support/small-disk.ts';
import { buildVault, done, grant, outcome, role } from '../support/vault.ts';

const beside: Breakage = {
  file: 'storage/transaction.ts',
  replace: 'if (value > locked.value) lane.sendAlong(appendJournal(lane.sql, journalKey, locked, parts));',
  by: `if (value > locked.value) void database.run(deadlineIn(5_000), async (other) =>
        appendJournal(other, journalKey, locked, parts)).catch(() => {});`,
};

/** Watches two replicas while a trigger leaves no room for the journal; counts users that were made without their entry. */
async function watchFullJournal(build?: Build) {
  const { sql, replicas, close } = await startReplicas(2, build && { build });
  const [first] = replicas as readonly [Replica];
  await buildVault(first, ['ann', 'bob']);
  await grant(first, 'ann');
  const users = async () => (await sql`select count(*)::int as n from rolecall.users`)[0]?.['n'] as number;
  await sql`
    create function pg_temp_full() returns trigger language plpgsql as
    'begin raise exception ''no space left on device'' using errcode = ''53100''; end'`;
  let made = 0;
  const seen = await watch(replicas, async () => {
    await sql`create trigger full_disk before insert on rolecall.journal execute function pg_temp_full()`;
    const before = await users();
    await pause(400);
    made = (await users()) - before;
    await sql`drop trigger full_disk on rolecall.journal`;
  });
  await close();
  return { seen, made };
}

// Everywhere, also where no disk can be made.
describe('with a journal that takes nothing more', { timeout: 600_000 }, () => {
  test('a change is not made, and questions go on (F-08)', async () => {
    const { seen, made } = await watchFullJournal();
    expect(seen).toMatchObject({ unanswered: 0, wrong: 0, lost: 0, faulty: {} });
    expect(seen.unavailable).toBeGreaterThan(0);
    expect(made).toBe(0);
  });

  test('a build is found out that writes the journal beside the change', async () => {
    await withBrokenBuild(beside, async (load) => {
      expect((await watchFullJournal(await buildOf(load))).made).toBeGreaterThan(0);
    });
  });
});

const keepers = long ? 200 : 60;

describe.skipIf(!mayMount())('on a disk without room for more data', { timeout: 600_000 }, () => {
  let disk: SmallDisk;
  let server: OwnServer;
  let sql: postgres.Sql;
  let key: string;
  let replicas: readonly Replica[];
  let log = '';

  beforeAll(async () => {
    disk = await mountSmallDisk('160m');
    // A checkpoint that has no room for its own files is a PANIC, as it is for WAL: that is F-09.
    server = await startOwnServer({ synchronous_commit: 'on', checkpoint_timeout: '1d' }, disk.folder);
    await server.stop();
    await disk.putElsewhere(`${server.data}/pg_wal`);
    await server.start();
    sql = postgres(server.url, { max: 1, onnotice: () => {} });
    key = await makeRoot(server.url);
    const onLog = (line: string) => {
      log += line;
    };
    replicas = [await startReplica(server.url, key, { onLog }), await startReplica(server.url, key)];
    await buildVault(replicas[0] as Replica, ['ann', 'bob']);
    await grant(replicas[0] as Replica, 'ann');
  });
  afterAll(async () => {
    await Promise.all(replicas.map((replica) => replica.close()));
    await sql.end();
    await disk.free();
    await server.remove();
    await disk.remove();
  });

  /** Keepers past the service, so that nothing but what is taken from them is in the journal. */
  async function makeKeepers(name: string): Promise<readonly string[]> {
    await sql`insert into rolecall.users (id)
      select ${name} || '-' || n from generate_series(1, ${keepers}::int) as n`;
    await sql`insert into rolecall.user_roles (user_pk, role_pk, scope)
      select users.pk, roles.pk, '' from rolecall.users, rolecall.roles
      where users.id like ${`${name}-%`} and roles.key = ${role}`;
    return Array.from({ length: keepers }, (_, place) => `${name}-${place + 1}`);
  }

  /** What the tables and the journal have of each keeper. */
  const kept = (name: string) => sql<{ id: string; stands: boolean; told: boolean }[]>`
    select id, exists (select from rolecall.user_roles g where g.user_pk = u.pk) as stands,
      exists (select from rolecall.journal j where j.user_pk = u.pk and j.kind = 'grant_removed') as told
    from rolecall.users u where id like ${`${name}-%`}`;

  /** Watches while the disk is full, and takes from each keeper meanwhile: that needs no room but for the record of it. */
  async function fillWhileTaking(from: readonly Replica[], name: string) {
    const ids = await makeKeepers(name);
    const taken = new Set<string>();
    const [refusals, astray] = [new Set<unknown>(), new Set<string>()];
    const seen = await watch(from, async () => {
      await disk.fill();
      for (const [place, id] of ids.entries()) {
        const url = `/users/${id}/roles/${role}`;
        const { status, body } = await (from[place % 2] as Replica).request({ method: 'DELETE', url });
        if (status === 200) taken.add(id);
        else refusals.add(`${status} ${(body as { code: string }).code}`);
        for (const replica of from)
          if ((await outcome(replica, { user: id })) !== (taken.has(id) ? 'denied' : 'allowed'))
            astray.add(id);
      }
      await disk.free();
    });
    const torn = (await kept(name)).filter(
      ({ id, stands, told }) => stands === taken.has(id) || told !== taken.has(id),
    );
    const refused = ids.filter((id) => !taken.has(id));
    return { seen, refused, refusals: [...refusals], astray: [...astray], torn };
  }

  test('a change is made with its record or not at all, questions are answered, and writes go on by themselves once there is room (F-08)', async () => {
    for (let round = 0; round < (long ? 20 : 1); round += 1) {
      const { seen, refused, ...found } = await fillWhileTaking(replicas, `keeper${round}`);
      summarize(`F-08, round ${round}`, {
        'changes refused': refused.length,
        'of changes': keepers,
        'questions answered': seen.answered,
        'not answered': seen.unanswered,
        'recovery ms': Math.round(seen.recovery),
      });
      expect(found).toEqual({ refusals: ['503 unavailable'], astray: [], torn: [] });
      expect(seen).toMatchObject({ unanswered: 0, wrong: 0, lost: 0, faulty: {} });
      expect(seen.answered).toBeGreaterThan(0);
      for (const id of refused) await done(replicas[1] as Replica, 'DELETE', `/users/${id}/roles/${role}`);
    }
    expect(log).toContain('"state":"53100"');
    // Nobody is there who was refused: all but the keepers were made through the service, which told each.
    const [made] = await sql`select
      (select count(*) from rolecall.users where id not like 'keeper%') as users,
      (select count(*) from rolecall.journal where kind = 'user_created') as told`;
    expect(made?.['users']).toBe(made?.['told']);
    const { code, stdout } = await run(['journal', 'verify'], environmentFor(server.url));
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('The journal is whole') });
  });

  test('a build is found out that writes the journal beside the change', async () => {
    await withBrokenBuild(beside, async (load) => {
      const build = await buildOf(load);
      const broken = [
        await startReplica(server.url, key, { build }),
        await startReplica(server.url, key, { build }),
      ];
      const { torn } = await fillWhileTaking(broken, 'broken');
      await Promise.all(broken.map((replica) => replica.close()));
      expect(torn).not.toEqual([]);
    });
  });
});
