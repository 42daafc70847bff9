import { afterAll, beforeAll, expect, test } from 'vitest';
import { covers } from '../../../src/domain/scopes.ts';
import type { Question } from '../../../src/services/decisions/access-check.ts';
import { type Breakage, withBrokenBuild } from '../../support/broken-build.ts';
import { long, summarize } from '../../support/long-run.ts';
import { buildOf } from '../../support/replicas.ts';
import { startTestService, type TestService } from '../../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

const people = long ? 400 : 24;
/** Each joins with the next to what another says alone, begins another, or differs in what somebody folds. */
const ids = [
  'a',
  'a/b',
  'a_b',
  'a,b',
  '["a","b"]',
  'a$$b',
  'a|b',
  'a:b',
  'a ',
  'A',
  "a'",
  'é',
  'e\u0301',
  '1',
  '01',
  'null',
  'x'.repeat(255),
];
const scopes = ['', 'a', 'a/b', 'ab', 'a/bc', 'a_b', 'a:b', 'A', 'a/b/c', '1', 'null'];
const permissions = [
  'orders.load_order',
  'orders.view_order',
  'orders.cancel_order',
  'orders.never_registered',
];

/** Everything by which two questions can differ, with values that are easily taken for each other. */
const differing = {
  user: Array.from({ length: people }, (_, at) =>
    `${ids[at % ids.length]}${at < ids.length ? '' : at}`.slice(-255),
  ),
  permission: permissions,
  scope: scopes,
} as const satisfies Record<keyof Question, readonly string[]>;

/** Whether every member of a question is named: what is not asked here would not be compared here. */
type Names<Asked, Named extends PropertyKey> = [Exclude<keyof Asked, Named>] extends [never] ? true : false;

test('a question with one more member than are compared here does not compile (C-12)', () => {
  const all: Names<Question, keyof typeof differing> = true;
  // @ts-expect-error This one has a member that nothing below tells apart.
  const more: Names<Question & { readonly tenant: string }, keyof typeof differing> = true;
  expect([all, more]).toEqual([true, true]);
});

test('no question gets the answer of another, however alike they are (C-12)', {
  timeout: 600_000,
}, async () => {
  const grants = new Map<string, string>();
  for (const [at, user] of differing.user.entries()) {
    const scope = scopes[at % scopes.length] as string;
    grants.set(user, scope);
    await service.as().post('/users').send({ id: user }).expect(201);
    await service
      .as()
      .put(`/users/${encodeURIComponent(user)}/roles/loader`)
      .query({ scope })
      .expect(201);
  }
  const given = (await service.as().get('/roles/loader/permissions').expect(200)).body;
  const loads = (permission: string) => JSON.stringify(given).includes(`"${permission.replace('.', '_')}"`);
  const questions = differing.user.flatMap((user) =>
    differing.permission.flatMap((permission) =>
      differing.scope.map((scope) => ({ user, permission, scope })),
    ),
  );
  const due = ({ user, permission, scope }: (typeof questions)[number]) =>
    loads(permission) && covers(grants.get(user) as never, scope as never);
  let asked = 0;
  for (const order of [questions, questions.toReversed()])
    for (let at = 0; at < order.length; at += 1_000) {
      const checks = order.slice(at, at + 1_000);
      const { body } = await service.as().post('/authorize/batch').send({ checks }).expect(200);
      expect(body.results.map(({ allowed }: { allowed: boolean }) => allowed)).toEqual(checks.map(due));
      asked += checks.length;
    }
  expect(questions.filter(due).length).toBeGreaterThan(people);
  summarize('questions (C-12)', {
    questions: questions.length,
    pairs: (questions.length * (questions.length - 1)) / 2,
    asked,
  });
});

/** Lists of a user that were answered for a scope and are not what is so there: for which scope they say they are. */
async function wrongLists(asked: TestService): Promise<readonly string[]> {
  const wrong: string[] = [];
  const user = encodeURIComponent(differing.user[1] as string);
  const held = (await asked.as().get(`/users/${user}/roles`).expect(200)).body.data[0].scope;
  for (const scope of [...scopes, ...scopes.toReversed(), ...scopes.flatMap((one) => [one, held])]) {
    const { body } = await asked.as().get(`/users/${user}/permissions`).query({ scope }).expect(200);
    if (body.scope !== scope || body.permissions.length > 0 !== covers(held, scope as never))
      wrong.push(body.scope);
  }
  return wrong;
}

test('the list of a user in one scope is never that in another, whichever was asked before (C-12)', async () => {
  expect(await wrongLists(service)).toEqual([]);
});

test('it is in a build that keeps the list without its scope (C-12)', async () => {
  const breakage: Breakage = {
    file: 'services/decisions/permission-lists.ts',
    replace: ' && kept.list.scope === scope',
    by: '',
  };
  await withBrokenBuild(breakage, async (load) => {
    const { database, adminKey } = service;
    const broken = await startTestService({ build: await buildOf(load), database, adminKey });
    expect((await wrongLists(broken)).length).toBeGreaterThan(0);
    await broken.close();
  });
});
