/** What answers show of others and of how things are kept, to whom. */
import postgres from 'postgres';
import { expect, test } from 'vitest';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { endingOperations, goodQueries } from '../support/contract.ts';
import { type Build, buildOf, soundBuild } from '../support/replicas.ts';
import { startTestService } from '../support/service.ts';

const readings = endingOperations.filter(({ method, security }) => method === 'GET' && security.length > 0);
const names: Readonly<Record<string, string>> = {
  user: 'mira',
  role: 'manager',
  permission: 'orders_view_order',
  setting: 'lease_ms',
};

/** The operations that show each kind of thing, to whoever holds just what they need, and to Mira about herself. */
interface Shown {
  readonly toHolders: Readonly<Record<string, readonly string[]>>;
  readonly toHerself: Readonly<Record<string, readonly string[]>>;
}

async function whatIsShown(build: Build): Promise<Shown> {
  const service = await startTestService({ build });
  const as = () => service.as();
  await as().post('/users').send({ id: 'mira', email: 'mira@example.com' }).expect(201);
  const own = await service.keyFor('mira');
  await as().put('/users/mira/roles/manager').send({ reason: 'trial until spring' }).expect(201);
  const deny = { effect: 'deny', reason: 'under investigation' };
  await as().put('/users/mira/permissions/orders_view_order').send(deny).expect(201);
  await as()
    .put('/users/mira/identities')
    .send({ issuer: 'https://idp', subject: 'mira-at-idp' })
    .expect(200);
  const sql = postgres(service.database.url, { max: 1 });
  const hashes = await sql<{ hex: string; base64: string }[]>`
    select encode(secret_hash, 'hex') as hex, encode(secret_hash, 'base64') as base64 from rolecall.api_keys
    union all select encode(hmac, 'hex'), encode(hmac, 'base64') from rolecall.journal`;
  await sql.end();
  const kept = hashes.flatMap(({ hex, base64 }) => [hex, base64, base64.replaceAll('=', '')]);

  const kinds: Readonly<Record<string, (text: string) => boolean>> = {
    'an e-mail address': (text) => text.includes('mira@example.com'),
    'why something was given': (text) => /trial until spring|under investigation/.test(text),
    'who gave it': (text) => /"(grantedBy|createdBy|actor)":/.test(text),
    'an identity': (text) => text.includes('mira-at-idp'),
    'what is kept of a secret': (text) => kept.some((one) => text.includes(one)),
    'an internal key': (text) => /(_pk|[a-z]Pk|"pk")"?:/.test(text),
  };

  async function shownBy(keyOf: (needed: string | undefined) => Promise<string>) {
    const shown: Record<string, string[]> = {};
    for (const { path, operationId, description } of readings) {
      const needed = /`(rolecall_\w+)`/.exec(description ?? '')?.[1];
      const place = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => names[name] as string);
      const query = goodQueries[operationId] ?? {};
      const { text } = await service
        .as(await keyOf(needed))
        .get(place)
        .query(query);
      for (const [kind, isIn] of Object.entries(kinds))
        if (isIn(text)) shown[kind] = [...(shown[kind] ?? []), operationId].sort();
    }
    return shown;
  }
  const narrowed = async (needed: string | undefined) => {
    if (needed === undefined) return service.adminKey;
    const { body } = await as()
      .post('/keys')
      .send({ user: 'root', name: 'x', permissions: [needed] });
    return body.key as string;
  };
  const toHolders = await shownBy(narrowed);
  const toHerself = await shownBy(async () => own);
  await service.close();
  return { toHolders, toHerself };
}

const due: Shown = {
  toHolders: {
    'an e-mail address': ['getUser', 'listJournal', 'listUsers'],
    'an identity': ['getUser', 'listJournal'],
    'who gave it': ['explainDecision', 'listJournal', 'listRoleUsers', 'listUserExceptions', 'listUserRoles'],
    'why something was given': [
      'explainDecision',
      'listJournal',
      'listRoleUsers',
      'listUserExceptions',
      'listUserRoles',
    ],
  },
  toHerself: {},
};

test('answers show no more than who may ask is to know (A-04)', async () => {
  expect(await whatIsShown(soundBuild)).toEqual(due);
});

const explanations = 'services/decisions/explanations.ts';
const breakages: Readonly<Record<string, Breakage>> = {
  'tells whoever asks about themselves who granted and why': {
    file: explanations,
    replace: 'isOwn ? ownPath : undefined',
    by: 'isOwn ? (path: Path) => path : undefined',
  },
  'takes whoever asks about themselves for one who may see all': {
    file: explanations,
    replace: 'return seesNothing;',
    by: "return { scopes: [''] as never, denied: [] };",
  },
};
test.for(Object.entries(breakages))('a build is found out that %s (A-04)', async ([, breakage]) => {
  await withBrokenBuild(breakage, async (load) => {
    const { toHerself } = await whatIsShown(await buildOf(load));
    expect(toHerself['why something was given']).toEqual(['explainDecision']);
  });
});
