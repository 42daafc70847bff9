/** Who asks and who is asked about are two: neither has anything by the other. */
import { expect, test } from 'vitest';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { type Build, buildOf, soundBuild } from '../support/replicas.ts';
import { startTestService } from '../support/service.ts';

const permission = 'orders.view_order';

/** Whether each may do it, by what they have themselves; null is nobody. */
const subjects: Readonly<Record<string, boolean>> = {
  holds: true,
  lacks: false,
  paused: false,
  'asks-and-holds': true,
  'asks-and-lacks': false,
  root: true,
  nobody: false,
};

/** Everything that somebody was told, or let do, that is not theirs or not the other's. */
async function confusions(build: Build): Promise<readonly string[]> {
  const service = await startTestService({ build });
  const as = () => service.as();
  await as().post('/roles').send({ key: 'asking', name: 'Asking' }).expect(201);
  await as().put('/roles/asking/permissions/rolecall_check').expect(200);
  for (const [user, ...roles] of [
    ['holds', 'viewer'],
    ['lacks'],
    ['paused', 'viewer'],
    ['asks-and-holds', 'asking', 'viewer'],
    ['asks-and-lacks', 'asking'],
  ] as const) {
    await as().post('/users').send({ id: user }).expect(201);
    for (const role of roles) await as().put(`/users/${user}/roles/${role}`).expect(201);
  }
  await as().put('/users/root/roles/viewer').expect(201);
  await as().patch('/users/paused').send({ active: false }).expect(200);

  const found: string[] = [];
  const hold = (what: string, said: unknown, due: unknown) => {
    if (JSON.stringify(said) !== JSON.stringify(due)) found.push(`${what}: ${JSON.stringify(said)}`);
  };
  const everybody = Object.keys(subjects);
  for (const caller of ['asks-and-holds', 'asks-and-lacks', 'holds'] as const) {
    const key = await service.keyFor(caller);
    const before = (await service.as(key).get('/me/permissions').expect(200)).body.permissions;
    const mayAsk = caller !== 'holds';
    for (const user of everybody) {
      const { status, body } = await service.as(key).post('/authorize').send({ user, permission });
      const due = mayAsk || user === caller ? [200, subjects[user]] : [403, undefined];
      hold(`${caller} about ${user}`, [status, body.allowed], due);
      const own = await service.as(key).post('/authorize').send({ permission }).expect(200);
      hold(`${caller} about themselves after ${user}`, own.body.allowed, subjects[caller]);
      const writes = await service.as(key).put(`/users/${caller}/roles/manager`);
      hold(`${caller} grants after ${user}`, writes.status, 403);
    }
    const checks = everybody.flatMap((user) => [{ user, permission }, { permission }]);
    const batch = await service.as(key).post('/authorize/batch').send({ checks });
    const all = everybody.flatMap((user) => [subjects[user], subjects[caller]]);
    if (mayAsk)
      hold(
        `${caller} in a batch`,
        batch.body.results?.map(({ allowed }: { allowed: boolean }) => allowed),
        all,
      );
    else hold(`${caller} in a batch`, batch.status, 403);
    const after = (await service.as(key).get('/me/permissions').expect(200)).body.permissions;
    hold(`what ${caller} has`, after, before);
  }
  await service.close();
  return found;
}

test('whoever asks is answered about whom they ask, and has nothing by it (A-07)', async () => {
  expect(await confusions(soundBuild)).toEqual([]);
});

const check = 'services/decisions/access-check.ts';
const decided =
  'let decision = decide(view.snapshot.catalogue, accessOn(view, user ?? caller.userId), permission, scope);';
const breakages: Readonly<Record<string, readonly [Breakage, found: string]>> = {
  'answers about whoever asks': [
    { file: check, replace: decided, by: decided.replace('user ?? ', '') },
    'asks-and-holds about lacks: [200,true]',
  ],
  'adds what the caller has': [
    {
      file: check,
      replace: decided,
      by: `${decided}\n    if (!decision.allowed)
      decision = decide(view.snapshot.catalogue, accessOn(view, caller.userId), permission, scope);`,
    },
    'asks-and-holds about nobody: [200,true]',
  ],
  'lets whoever is asked about allow it': [
    {
      file: check,
      replace: 'requirePermissionOf(view.snapshot.catalogue, (user) => accessOn(view, user), caller,',
      by: 'requirePermissionOf(view.snapshot.catalogue, () => accessOn(view, [...view.users.keys()].at(-1) as never), caller,',
    },
    'holds about asks-and-lacks: [200,false]',
  ],
};

test.for(Object.entries(breakages))('a build is found out that %s (A-07)', async ([, [breakage, due]]) => {
  await withBrokenBuild(breakage, async (load) =>
    expect(await confusions(await buildOf(load))).toContain(due),
  );
});
