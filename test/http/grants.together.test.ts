/** Grants that are made together, by somebody who may and by somebody who may not. */
import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import { expect, test } from 'vitest';
import { withBrokenBuild } from '../support/broken-build.ts';
import { type Build, buildOf, soundBuild } from '../support/replicas.ts';
import { startTestService } from '../support/service.ts';

/**
 * What comes of the same grants by the administrator and by a granter who holds nothing of the role, all at once: they
 * are sent while nobody may write, so that those of both wait for the same transaction.
 */
async function givenAtOnce(build: Build) {
  const service = await startTestService({ build });
  const sql = postgres(service.database.url, { max: 2 });
  try {
    await service.as().post('/roles').send({ key: 'granter', name: 'Granter' }).expect(201);
    await service.as().put('/roles/granter/permissions/rolecall_grant_roles').expect(200);
    const granter = await service.keyFor('granter', 'granter');
    const users = Array.from({ length: 30 }, (_, number) => `user-${number}`);
    for (const id of users) await service.as().post('/users').send({ id }).expect(201);
    const held = await sql.begin(async (holder) => {
      await holder`select from rolecall.revision for update`;
      const given = Promise.all(
        users.map(async (user, number) => {
          const key = number % 2 === 0 ? service.adminKey : granter;
          const { status, body } = await service.as(key).put(`/users/${user}/roles/loader`).send({});
          return { by: key === granter ? 'granter' : 'administrator', code: body.code ?? status };
        }),
      );
      await expect.poll(() => somebodyWaits(sql)).toBe(true);
      await pause(200);
      return { given };
    });
    const given = await held.given;
    const of = (who: string) => new Set(given.filter(({ by }) => by === who).map(({ code }) => code));
    return { administrator: of('administrator'), granter: of('granter') };
  } finally {
    await sql.end();
    await service.close();
  }
}

async function somebodyWaits(sql: postgres.Sql): Promise<boolean> {
  const waiting = await sql`
    select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  return waiting.length > 0;
}

const asTheyMay = { administrator: new Set([201]), granter: new Set(['exceeds_own_access']) };

test('are judged each by what its caller holds', async () => {
  expect(await givenAtOnce(soundBuild)).toEqual(asTheyMay);
});

test('are found out in a build that takes what one caller may for what all may', async () => {
  const breakage = [
    { replace: 'verdicts.get(call.caller)', by: 'verdicts.get(asked[0]!.call.caller)' },
    { replace: 'verdicts.set(call.caller, known)', by: 'verdicts.set(asked[0]!.call.caller, known)' },
  ].map((one) => ({ file: 'services/grant-changes.ts', ...one }));
  await withBrokenBuild(breakage, async (load) =>
    expect(await givenAtOnce(await buildOf(load))).not.toEqual(asTheyMay),
  );
});
