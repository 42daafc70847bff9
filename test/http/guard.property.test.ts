import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RoleKey, Scope, UserId } from '../../src/domain/ids.ts';
import { operatorCall } from '../../src/services/call.ts';
import { type ReferenceGrant, referencePermissions, type World } from '../support/reference-model.ts';
import { startTestService, type TestService } from '../support/service.ts';

const cases = process.env['TEST_LONG'] === undefined ? 300 : 10_000;

const permissions = Array.from({ length: 8 }, (_, index) => `things_use_${index}`);
const roles = Array.from({ length: 10 }, (_, index) => `role-${index}`);
/** A role includes only later ones, so there are no circles. */
const includes = roles.flatMap((role, index) =>
  [index * 2 + 1, index + 3]
    .filter((other) => other < roles.length)
    .map((other) => ({ role, other: roles[other] as string })),
);
const edges = roles.flatMap((role, index) =>
  [index % 8, (index * 3 + 1) % 8].map((one) => ({ role, permission: permissions[one] as string })),
);
const scopes = ['', 'org', 'org/acme', 'org/acme/billing', 'org/ac', 'habits'];
const bounds = [2090, 2091, 2092].map((year) => Date.UTC(year, 0));

let service: TestService;
/** What the catalogue means, by the model that the whole service is judged by. */
const world: World = {
  permissions: new Map(permissions.map((permission) => [permission, 'registered'])),
  users: new Map(),
  includes: includes.map(({ role, other }) => ({ role, included: other, origin: 'api', withheld: false })),
  edges: edges.map((edge) => ({ ...edge, origin: 'api', withheld: false })),
};

beforeAll(async () => {
  service = await startTestService();
  const as = () => service.as();
  const wanted = permissions.map((slug) => ({ permission: slug.replace('_', '.') }));
  await as().post('/permissions/batch').send({ permissions: wanted }).expect(200);
  for (const key of [...roles, 'granter']) await as().post('/roles').send({ key, name: key }).expect(201);
  for (const { role, other } of includes) await as().put(`/roles/${role}/includes/${other}`).expect(200);
  for (const { role, permission } of edges)
    await as().put(`/roles/${role}/permissions/${permission}`).expect(200);
  await as().put('/roles/granter/permissions/rolecall_grant_roles').expect(200);
});
afterAll(() => service.close());

const window = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ startsAt: null, expiresAt: null }) },
  fc
    .tuple(fc.option(fc.constantFrom(...bounds)), fc.option(fc.constantFrom(...bounds)))
    .filter(([from, to]) => from === null || to === null || from < to)
    .map(([startsAt, expiresAt]) => ({ startsAt, expiresAt })),
);
const grants: fc.Arbitrary<ReferenceGrant> = fc
  .tuple(fc.constantFrom(...roles), fc.constantFrom('', ...scopes), window)
  .map(([role, scope, terms]) => ({ role, scope, ...terms }));
const held = fc.uniqueArray(grants, {
  minLength: 0,
  maxLength: 5,
  selector: ({ role, scope }) => `${role} ${scope}`,
});

/** Whether somebody with these grants has all that the other grant gives, wherever and whenever it gives it. */
function holdsAllOf(holder: readonly ReferenceGrant[], given: ReferenceGrant): boolean {
  world.users.set('holder', { active: true, grants: [...holder], exceptions: [] });
  world.users.set('receiver', { active: true, grants: [given], exceptions: [] });
  return [Date.now(), ...bounds].every((at) =>
    scopes.every((scope) => {
      const has = new Set(referencePermissions(world, 'holder', scope, at));
      return referencePermissions(world, 'receiver', scope, at).every((permission) => has.has(permission));
    }),
  );
}

let people = 0;

test(
  'a role is granted if and only if the actor holds all that it gives, there, below, and as long (A-09)',
  async () => {
    const outcomes = { granted: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(held, grants, async (holdings, gift) => {
        people += 1;
        const [actor, receiver] = [`actor-${people}`, `receiver-${people}`];
        const key = await service.keyFor(actor, 'granter');
        await service.keyFor(receiver);
        for (const { role, scope, ...terms } of holdings) {
          const place = [actor as UserId, role as RoleKey, scope as Scope] as const;
          await service.runtime.grants.put(operatorCall(20_000), ...place, { ...terms, reason: null });
        }
        const time = (instant: number | null) => instant && new Date(instant).toISOString();
        const response = await service
          .as(key)
          .put(`/users/${receiver}/roles/${gift.role}`)
          .query({ scope: gift.scope })
          .send({ startsAt: time(gift.startsAt), expiresAt: time(gift.expiresAt) });
        const may = holdsAllOf(holdings, gift);
        expect(response.body.code ?? response.status).toBe(may ? 201 : 'exceeds_own_access');
        const { body } = await service.as().get(`/users/${receiver}/roles`).expect(200);
        expect(body.data).toHaveLength(may ? 1 : 0);
        outcomes[may ? 'granted' : 'refused'] += 1;
      }),
      { numRuns: cases },
    );
    // Both happen often, or the property says little.
    expect(Math.min(outcomes.granted, outcomes.refused)).toBeGreaterThan(cases / 20);
  },
  cases * 1_000,
);
