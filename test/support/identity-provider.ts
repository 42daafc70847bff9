/** An OpenID provider on this machine, with keys of its own and faults on demand, and tokens of any kind. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

export function rsaKey(kid: string): SigningKey {
  return { kid, alg: 'RS256', ...generateKeyPairSync('rsa', { modulusLength: 2_048 }) };
}

export function ecKey(kid: string): SigningKey {
  return { kid, alg: 'ES256', ...generateKeyPairSync('ec', { namedCurve: 'P-256' }) };
}

/** A public key as a provider publishes it, without `alg` as many do. */
export function jwkOf({ kid, publicKey }: SigningKey): object {
  return { ...publicKey.export({ format: 'jwk' }), kid, use: 'sig' };
}

export const encode = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

/** A token of these very texts, signed by `signer`, which gets what is signed. */
export function tokenOf(header: unknown, claims: unknown, signer: (input: string) => Buffer): string {
  const input = `${encode(header)}.${encode(claims)}`;
  return `${input}.${signer(input).toString('base64url')}`;
}

/** What makes the signature of a key, of its own algorithm if no other is named. */
export function signerOf({ privateKey, alg: own }: SigningKey, alg = own): (input: string) => Buffer {
  const [, family = '', bits = ''] = /^([A-Z]+)(\d+)$/.exec(alg) ?? [];
  const padding = family === 'PS' ? { padding: 6, saltLength: Number(bits) / 8 } : {};
  return (input) =>
    sign(`sha${bits}`, Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363', ...padding });
}

export interface TestProvider {
  readonly issuer: string;
  readonly audience: string;
  /** The keys it publishes. */
  keys: SigningKey[];
  /** Answers instead of it, while set. */
  fault: RequestListener | undefined;
  /** How often anybody asked for its keys. */
  fetches: number;
  /** Claims of a good token, valid from now on for ten minutes, with these instead. */
  claims(subject: string, changes?: object): Record<string, unknown>;
  /** A good token, or one with other claims, header or key. */
  token(subject: string, changes?: { claims?: object; header?: object; key?: SigningKey }): string;
  /** How it is configured. */
  readonly settings: { issuer: string; audience: string };
  close(): Promise<void>;
}

let made = 0;

/** Starts one that signs with this key, or with a new one. */
export async function startProvider(first = rsaKey(`key-${++made}`)): Promise<TestProvider> {
  const server = createServer((request, response) => {
    if (request.url?.endsWith('/jwks')) provider.fetches += 1;
    if (provider.fault) return provider.fault(request, response);
    response.setHeader('content-type', 'application/json');
    if (request.url?.endsWith('/.well-known/openid-configuration'))
      response.end(JSON.stringify({ issuer: provider.issuer, jwks_uri: `${provider.issuer}jwks` }));
    else response.end(JSON.stringify({ keys: provider.keys.map(jwkOf) }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const audience = 'https://rolecall.example.com';
  const provider: TestProvider = {
    issuer,
    audience,
    keys: [first],
    fault: undefined,
    fetches: 0,
    settings: { issuer, audience },
    claims(subject, changes = {}) {
      const now = Math.floor(Date.now() / 1_000);
      return { iss: issuer, aud: audience, sub: subject, iat: now, exp: now + 600, ...changes };
    },
    token(subject, { claims = {}, header = {}, key = provider.keys[0] ?? first } = {}) {
      const said = { alg: key.alg, typ: 'at+jwt', kid: key.kid, ...header };
      return tokenOf(said, provider.claims(subject, claims), signerOf(key));
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return provider;
}
