import { afterAll, beforeAll, expect, test } from 'vitest';
import * as verifiers from '../../../src/services/tokens/jwt-verifier.ts';
import type { KeyLimits } from '../../../src/services/tokens/provider-keys.ts';
import { type Breakage, withBrokenBuild } from '../../support/broken-build.ts';
import { rsaKey, startProvider, type TestProvider } from '../../support/identity-provider.ts';
import { attacksOf } from '../../support/token-attacks.ts';

const tokens = 'domain/tokens.ts';
const verifier = 'services/tokens/jwt-verifier.ts';

/** A rule taken out, and a token that only this rule keeps out. */
const breakages: Readonly<Record<string, readonly [Breakage | readonly Breakage[], lets: string]>> = {
  'the audience is ours': [
    { file: tokens, replace: ' || !audiences.includes(rules.audience)', by: '' },
    'of another client of the same issuer',
  ],
  'there is an end': [
    {
      file: tokens,
      replace: "const expiresAt = timeOf(claims, 'exp');",
      by: "const expiresAt = claims['exp'] === undefined ? Number.MAX_SAFE_INTEGER : timeOf(claims, 'exp');",
    },
    'with no end',
  ],
  'an end is a time': [
    { file: tokens, replace: ' || !(seconds >= 0 && seconds <= lastSecond)', by: '' },
    'with an end that is no number',
  ],
  'the end has not come': [
    {
      file: tokens,
      replace: "if (expiresAt + rules.toleranceMs <= now) throw new TokenFault('it has expired');",
      by: '',
    },
    'with an end in the past',
  ],
  'it has begun': [
    { file: tokens, replace: 'Math.max(startsAt, issuedAt) > now + rules.toleranceMs', by: 'false' },
    'with a birth in the future',
  ],
  'the algorithm is on the list': [
    [
      { file: tokens, replace: '!algorithms.includes(alg)', by: 'false' },
      { file: verifier, replace: '{ algorithms: [...algorithms] }', by: '{}' },
    ],
    'of another padding that is not on the list',
  ],
  'the type is that of access tokens': [
    { file: tokens, replace: 'if (!isExpected)', by: 'if (false)' },
    'that is an ID token by its type',
  ],
  'an ID token is none': [
    { file: tokens, replace: "if (isIdToken || claims['token_use']", by: "if (claims['token_use']" },
    'that is an ID token by its nonce',
  ],
  'the signature is that of the provider': [
    { file: verifier, replace: 'await requireSignature(text, provider, keys);', by: '' },
    'signed by a key of the same name',
  ],
  'the header brings no rules': [
    { file: tokens, replace: 'foreignRules.some((name) => Object.hasOwn(header, name))', by: 'false' },
    'whose header has jku',
  ],
  'nothing is said twice': [
    { file: tokens, replace: 'value = parseStrictText(', by: 'value = JSON.parse(' },
    'with a claim twice',
  ],
  'a part has one spelling': [
    { file: tokens, replace: " || bytes.toString('base64url') !== part", by: '' },
    'in another spelling of its last bits',
  ],
};

let provider: TestProvider;
let other: TestProvider;
beforeAll(async () => {
  [provider, other] = await Promise.all([startProvider(), startProvider()]);
});
afterAll(() => Promise.all([provider.close(), other.close()]));

const limits: KeyLimits = { betweenFetches: 30_000, fresh: 300_000, usable: 86_400_000, fetchTimeout: 1_500 };

/** The attacks by which a build lets somebody in, or makes them somebody else than they are. */
async function letIn(build: Pick<typeof verifiers, 'openJwtVerifier'>): Promise<readonly string[]> {
  const rules = { algorithms: ['RS256'], tokenType: 'at+jwt', toleranceMs: 60_000, jwksUrl: null } as const;
  const judge = build.openJwtVerifier([{ ...provider.settings, ...rules }], limits);
  const found: string[] = [];
  const attacks = attacksOf({ provider, other, retired: rsaKey('retired'), subject: 'victim' });
  for (const [what, token] of Object.entries(attacks))
    await judge.verify(token, Date.now).then(
      () => found.push(what),
      () => {},
    );
  await judge.verify(provider.token('victim'), Date.now);
  return found;
}

test('the build that is not broken lets nobody in', async () => {
  expect(await letIn(verifiers)).toEqual([]);
});

test.each(Object.entries(breakages))(
  'without the rule that %s, somebody gets in (A-17, H13)',
  async (_rule, [breakage, lets]) => {
    const found = await withBrokenBuild(breakage, async (load) =>
      letIn(await load<typeof verifiers>(verifier)),
    );
    expect(found).toContain(lets);
  },
);
