import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RolecallError } from '../../../src/domain/errors.ts';
import { TokenFault } from '../../../src/domain/tokens.ts';
import { type JwtVerifier, openJwtVerifier } from '../../../src/services/tokens/jwt-verifier.ts';
import { examineProviders } from '../../../src/services/tokens/provider-findings.ts';
import { type KeyLimits, usualKeyLimits } from '../../../src/services/tokens/provider-keys.ts';
import { ecKey, jwkOf, rsaKey, startProvider, type TestProvider } from '../../support/identity-provider.ts';

let provider: TestProvider;
const [first, unknown, next] = [rsaKey('first'), rsaKey('unknown'), rsaKey('next')];
beforeEach(async () => {
  provider = await startProvider(first);
});
afterEach(() => provider.close());

function verifierOf(limits: Partial<KeyLimits> = {}, jwksUrl: string | null = null): JwtVerifier {
  const rules = { tokenType: 'at+jwt', algorithms: ['RS256'], toleranceMs: 60_000 } as const;
  return openJwtVerifier([{ ...provider.settings, ...rules, jwksUrl }], { ...usualKeyLimits, ...limits });
}

/** What becomes of a token: `good`, `refused` for what it is, or `unavailable` because nobody knows. */
async function verdict(verifier: JwtVerifier, token = provider.token('maria')): Promise<string> {
  try {
    const { token: said } = await verifier.verify(token, Date.now);
    expect(said.subject).toBe('maria');
    return 'good';
  } catch (error) {
    if (error instanceof TokenFault) return 'refused';
    if (error instanceof RolecallError && error.code === 'unavailable') return 'unavailable';
    throw error;
  }
}

const unknownKey = () => provider.token('maria', { key: unknown });
const quick = { betweenFetches: 0, fresh: 0 };

const faults: Readonly<Record<string, NonNullable<TestProvider['fault']>>> = {
  'refuses to talk': (request) => request.socket.destroy(),
  hangs: () => {},
  'answers a failure': (_request, response) => response.writeHead(500).end('{"keys":[]}'),
  'answers 10 MB': (_request, response) => {
    response.writeHead(200);
    response.end(
      JSON.stringify({ keys: [jwkOf(provider.keys[0] as never)], padding: 'x'.repeat(10_000_000) }),
    );
  },
  'answers without an end': (_request, response) => {
    const more = () => response.writable && response.write('x'.repeat(65_536), more);
    response.writeHead(200);
    more();
  },
  'answers 10,000 keys': (_request, response) =>
    response.end(JSON.stringify({ keys: Array.from({ length: 10_000 }, () => ({ kty: 'oct' })) })),
  'answers no JSON': (_request, response) => response.end('{"keys": ['),
  'answers a list': (_request, response) => response.end('[]'),
  'answers keys that are none': (_request, response) => response.end('{"keys": [1, null]}'),
  'sends elsewhere': (_request, response) =>
    response.writeHead(302, { location: `${provider.issuer}elsewhere` }).end(),
};

describe.each(Object.entries(faults))('a provider that %s (F-24)', (_what, fault) => {
  test('makes nobody known or refused: what cannot be judged is unavailable', async () => {
    provider.fault = fault;
    const verifier = verifierOf({ fetchTimeout: 300 }, `${provider.issuer}jwks`);
    expect(await verdict(verifier)).toBe('unavailable');
    expect(await verdict(verifier, 'x.y.z')).toBe('refused');
    expect(provider.fetches).toBe(1);
  });

  test('was known before: its keys go on, and an unknown one is not judged', async () => {
    const verifier = verifierOf({ ...quick, fetchTimeout: 2_000 }, `${provider.issuer}jwks`);
    expect(await verdict(verifier)).toBe('good');
    provider.fault = fault;
    for (let one = 0; one < 3; one += 1) expect(await verdict(verifier)).toBe('good');
    expect(await verdict(verifier, unknownKey())).toBe('unavailable');
    provider.fault = undefined;
    await expect.poll(() => verdict(verifier, unknownKey()), { timeout: 10_000 }).toBe('refused');
  });
});

test('keys that could not be fetched for too long are used no longer (F-24)', async () => {
  const verifier = verifierOf({ ...quick, usable: 200 });
  expect(await verdict(verifier)).toBe('good');
  provider.fault = (request) => request.socket.destroy();
  await sleep(250);
  expect(await verdict(verifier)).toBe('unavailable');
});

describe('how often keys are fetched (F-24)', () => {
  test('is once, however many come at once', async () => {
    const verifier = verifierOf();
    const verdicts = await Promise.all(Array.from({ length: 50 }, () => verdict(verifier)));
    expect(new Set(verdicts)).toEqual(new Set(['good']));
    expect(provider.fetches).toBe(1);
  });

  test('is no more often for a thousand invented key ids, and good tokens stay good', async () => {
    const verifier = verifierOf();
    for (let one = 0; one < 1_000; one += 1) {
      const token = provider.token('maria', { key: { ...unknown, kid: `invented-${one}` } });
      expect(await verdict(verifier, token)).toBe('refused');
      if (one % 100 === 0) expect(await verdict(verifier)).toBe('good');
    }
    expect(provider.fetches).toBe(1);
    expect(usualKeyLimits.betweenFetches).toBeGreaterThanOrEqual(30_000);
  });
});

test('a key published since invented ones were asked for is refused until keys may be fetched again, no longer', async () => {
  const verifier = verifierOf({ betweenFetches: 1_000 });
  expect(await verdict(verifier)).toBe('good');
  provider.keys = [next, first];
  expect(await verdict(verifier)).toBe('refused');
  // Whoever spends the one fetch brings the key with it.
  const judged = async () => [await verdict(verifier, unknownKey()), await verdict(verifier)];
  await expect.poll(judged, { timeout: 10_000 }).toEqual(['refused', 'good']);
});

describe('when keys are rotated (A-17, A-19)', () => {
  test('the new one is fetched when it is first used, and the old one refused once it is gone', async () => {
    const verifier = verifierOf({ betweenFetches: 0 });
    expect(await verdict(verifier)).toBe('good');
    const byOld = provider.token('maria');
    provider.keys = [next, ...provider.keys];
    expect(await verdict(verifier)).toBe('good');
    expect(await verdict(verifier, byOld)).toBe('good');
    provider.keys = [next];
    expect(await verdict(verifier, unknownKey())).toBe('refused');
    expect(await verdict(verifier, byOld)).toBe('refused');
  });

  test('what was verified with the keys before says so', async () => {
    const verifier = verifierOf({ betweenFetches: 0 });
    const before = await verifier.verify(provider.token('maria'), Date.now);
    expect(before.stillHasKeys()).toBe(true);
    expect(await verdict(verifier, unknownKey())).toBe('refused');
    expect(before.stillHasKeys()).toBe(true);
    provider.keys = [next];
    expect(await verdict(verifier)).toBe('good');
    expect(before.stillHasKeys()).toBe(false);
  });

  test('a key that is not there any more is found out while tokens are used, by age', async () => {
    const verifier = verifierOf(quick);
    const { stillHasKeys } = await verifier.verify(provider.token('maria'), Date.now);
    provider.keys = [next];
    await expect.poll(stillHasKeys, { timeout: 10_000 }).toBe(false);
  });
});

describe('the discovery document', () => {
  test('is believed only if it is that of the issuer', async () => {
    provider.fault = (request, response) => {
      const keys = provider.keys.map(jwkOf);
      const document = request.url?.endsWith('jwks')
        ? { keys }
        : { issuer: 'https://evil.example.com/', jwks_uri: `${provider.issuer}jwks` };
      response.end(JSON.stringify(document));
    };
    expect(await verdict(verifierOf())).toBe('unavailable');
    expect(await verdict(verifierOf({}, `${provider.issuer}jwks`))).toBe('good');
  });

  test('leads nowhere without TLS, and to no file', async () => {
    for (const jwks_uri of ['file:///etc/passwd', 'http://192.0.2.1/jwks', 'jwks', 1, undefined]) {
      provider.fault = (_request, response) =>
        response.end(JSON.stringify({ issuer: provider.issuer, jwks_uri }));
      expect(await verdict(verifierOf())).toBe('unavailable');
    }
    expect(provider.fetches).toBe(0);
  });
});

describe('a token without a key id', () => {
  const unnamed = (key = first) => provider.token('maria', { key, header: { kid: undefined } });

  test('is good if any key of its provider signed it, and refused if none did', async () => {
    expect(await verdict(verifierOf(), unnamed())).toBe('good');
    expect(await verdict(verifierOf(), unnamed(unknown))).toBe('refused');
    provider.keys = [next, ecKey('curve'), first];
    for (const key of [next, first]) expect(await verdict(verifierOf(), unnamed(key))).toBe('good');
    expect(await verdict(verifierOf(), unnamed(unknown))).toBe('refused');
  });

  test('is good if one of several keys of one id signed it', async () => {
    provider.keys = [{ ...next, kid: 'first' }, first];
    expect(await verdict(verifierOf())).toBe('good');
    expect(await verdict(verifierOf(), provider.token('maria', { key: { ...next, kid: 'first' } }))).toBe(
      'good',
    );
    expect(await verdict(verifierOf(), provider.token('maria', { key: { ...unknown, kid: 'first' } }))).toBe(
      'refused',
    );
  });

  test('is tried with ten keys and no more, whatever a provider has', async () => {
    const others = Array.from({ length: 10 }, (_, n) => ({ ...next, kid: `next-${n}` }));
    provider.keys = [...others.slice(1), first];
    expect(await verdict(verifierOf(), unnamed())).toBe('good');
    provider.keys = [...others, first];
    expect(await verdict(verifierOf(), unnamed())).toBe('refused');
  });
});

describe('doctor', () => {
  test('says of each provider whose keys cannot be had what is wrong and where to look', async () => {
    const jwksUrl = `${provider.issuer}jwks`;
    expect(await examineProviders([{ issuer: provider.issuer, jwksUrl: null }])).toEqual([]);
    provider.fault = (_request, response) => response.writeHead(404).end();
    const findings = await examineProviders([
      { issuer: provider.issuer, jwksUrl },
      { issuer: 'http://127.0.0.1:1/', jwksUrl: null },
    ]);
    expect(findings).toMatchObject([
      { severity: 'problem', subject: provider.issuer, cause: expect.stringContaining('it answered 404') },
      {
        severity: 'problem',
        fix: expect.stringContaining('http://127.0.0.1:1/.well-known/openid-configuration'),
      },
    ]);
  });
});
