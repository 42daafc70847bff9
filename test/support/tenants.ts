/** Two tenants that mirror each other, some who belong to both, one who has everything, and what one sees of the other. */
import type postgres from 'postgres';
import { contentsOf } from './contents.ts';
import { endingOperations, goodBodies, goodQueries, operations } from './contract.ts';
import type { TestService } from './service.ts';

/** What somebody who looks after one tenant has there, and nowhere else. */
const office = [
  ...[
    'check',
    'read_users',
    'manage_users',
    'grant_roles',
    'grant_permissions',
    'read_roles',
    'manage_roles',
  ],
  ...['read_permissions', 'manage_permissions', 'read_keys', 'manage_keys', 'read_journal', 'escalate'],
].map((action) => `rolecall_${action}`);

const tenants = ['acme', 'rival'] as const;
const people = ['boss', 'clerk', 'guest'];

/** Makes them. Returns the key of whoever looks after acme. */
export async function buildTenants(service: TestService): Promise<string> {
  const as = () => service.as();
  await as().post('/roles').send({ key: 'tenant-admin', name: 'Tenant admin' }).expect(201);
  for (const slug of office) await as().put(`/roles/tenant-admin/permissions/${slug}`).expect(200);
  for (const id of [...tenants.flatMap((tenant) => people.map((who) => `${tenant}-${who}`)), 'both', 'chief'])
    await as()
      .post('/users')
      .send({ id, email: `${id}@example.com` })
      .expect(201);
  for (const tenant of tenants) {
    const place = async (user: string, scope: string, ...roles: string[]) => {
      for (const role of roles)
        await as()
          .put(`/users/${user}/roles/${role}?scope=${scope}`)
          .send({ reason: `for ${tenant}` })
          .expect(201);
    };
    await place(`${tenant}-boss`, `org/${tenant}`, 'tenant-admin', 'manager');
    await place(`${tenant}-clerk`, `org/${tenant}/billing`, 'loader');
    await place('both', `org/${tenant}`, 'viewer');
    await as()
      .put(`/users/${tenant}-guest/permissions/orders_view_order?scope=org/${tenant}`)
      .send({ effect: 'allow', reason: `for ${tenant}` })
      .expect(201);
    await as()
      .post('/keys')
      .send({ user: `${tenant}-clerk`, name: `of ${tenant}`, scope: `org/${tenant}` })
      .expect(201);
  }
  await as().put('/users/chief/roles/manager').send({ reason: 'for all' }).expect(201);
  return service.keyFor('acme-boss');
}

type Operation = (typeof operations)[number];
type Values = Readonly<Record<string, readonly string[]>>;

const named: Values = {
  user: ['acme-clerk', 'both', 'chief', 'rival-boss', 'rival-clerk'],
  role: ['loader', 'manager', 'tenant-admin', 'viewer'],
  permission: ['orders_view_order', 'rolecall_check'],
  setting: ['default_role'],
};
/** What lists and questions are asked with, one after the other. */
const asked: Values = {
  scope: ['', 'org', 'org/acme', 'org/rival', 'org/rival/billing'],
  user: ['rival-clerk', 'both', 'root'],
  actor: ['root', 'rival-boss'],
  role: ['viewer'],
  effective: ['true'],
  idPrefix: ['rival', 'c'],
  email: ['RIVAL-CLERK@EXAMPLE.COM'],
};

/** All that only the other tenant has, or whoever is above both. */
const foreignMarks = /rival-\w+(@example\.com)?|org\/rival[\w/]*|(for|of) rival|for all|chief@example\.com/g;

/** Every way to fill the places of a path. */
function pathsOf(path: string): readonly string[] {
  const [place, name = ''] = /\{(\w+)\}/.exec(path) ?? [];
  if (place === undefined) return [path];
  return (named[name] ?? []).flatMap((value) => pathsOf(path.replace(place, value)));
}

function queriesOf({ operationId, parameters = [] }: Operation): readonly Record<string, string>[] {
  const takes = (name: string) => parameters.some((one) => one.name === name);
  const always = { ...goodQueries[operationId], ...(takes('limit') ? { limit: '1' } : {}) };
  const further = Object.entries(asked).flatMap(([name, values]) =>
    takes(name) ? values.map((value) => ({ [name]: value })) : [],
  );
  const then = takes('at') ? [{ at: new Date().toISOString(), scope: 'org/acme' }] : [];
  return [{}, ...further, ...then].map((query) => ({ ...always, ...query }));
}

const isOfOthers = ({ method, security, path }: Operation) =>
  method === 'GET' && security.length > 0 && !path.startsWith('/me/');

/**
 * What the answers to whoever looks after acme say of the other tenant, or of those above both, and the question did not:
 * of every operation that reads, with each id of the other's in each place, all pages, and from the cursors of others on.
 */
export async function* leaksTo(key: string, service: TestService): AsyncGenerator<string> {
  async function* walk(path: string, query: Record<string, string>): AsyncGenerator<string> {
    for (let after = query['after']; ; ) {
      const page = after === undefined ? query : { ...query, after };
      const { text, body } = await service.as(key).get(path).query(page);
      const said = [path, ...Object.values(query)].join(' ');
      for (const [mark] of text.matchAll(foreignMarks))
        if (!said.includes(mark)) yield `${path} ${new URLSearchParams(page)}: ${mark}`;
      if (typeof body.nextCursor !== 'string') return;
      after = body.nextCursor;
    }
  }
  for (const operation of endingOperations.filter(isOfOthers))
    for (const path of pathsOf(operation.path))
      for (const [index, query] of queriesOf(operation).entries()) {
        yield* walk(path, query);
        if (index > 0) continue;
        const { nextCursor } = (await service.as().get(path).query(query)).body;
        if (typeof nextCursor === 'string') yield* walk(path, { ...query, after: nextCursor });
      }
}

/** What identifies something of the other tenant, or of nobody in particular, in every place of a path. */
const foreign: Readonly<Record<string, string>> = {
  user: 'rival-clerk',
  role: 'loader',
  other: 'viewer',
  permission: 'orders_view_order',
  mapping: '019aa3f0-7c1e-7f04-9d6b-2f6f0c1c9a55',
};
const writes = operations.filter(({ method, tags }) => method !== 'GET' && !tags?.includes('Checks'));
const takesScope = ({ parameters }: Operation) => parameters?.some(({ name }) => name === 'scope') ?? false;

/** Every operation that writes, in each scope in which whoever looks after acme has nothing. */
export const trespasses = writes.flatMap((operation) =>
  (takesScope(operation) ? ['', 'org', 'org/rival/billing', 'org/acmes'] : ['']).map((scope) => ({
    scope,
    ...operation,
  })),
);

/** What comes of trying one by somebody's key: the code of the refusal, if any, and whether anything is another now. */
export async function trespass(
  operation: (typeof trespasses)[number],
  key: string,
  service: TestService,
  sql: postgres.Sql,
) {
  const { body } = await service.as().get('/keys?user=root').expect(200);
  const names = { ...foreign, key: body.data[0].id };
  const path = operation.path.replaceAll(/\{(\w+)\}/g, (_, name: string) => String(names[name as never]));
  const standing = await contentsOf(sql);
  const response = await service
    .as(key)
    [operation.method.toLowerCase() as 'post'](path)
    .query(takesScope(operation) ? { scope: operation.scope } : {})
    .set('if-match', '"x"')
    .send(goodBodies[operation.operationId]);
  const { outcomes: [outcome = response.body] = [] } = response.body;
  const hasChanged = JSON.stringify(await contentsOf(sql)) !== JSON.stringify(standing);
  return { code: outcome.code as string | undefined, hasChanged };
}
