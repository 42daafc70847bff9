/** Tokens that must not let anybody in, made from one that would. */
import { createHmac } from 'node:crypto';
import {
  ecKey,
  encode,
  jwkOf,
  rsaKey,
  type SigningKey,
  signerOf,
  type TestProvider,
  tokenOf,
} from './identity-provider.ts';

export interface Attacker {
  readonly provider: TestProvider;
  /** Another provider that is trusted, for whom the same subject is somebody else. */
  readonly other: TestProvider;
  /** A key that the provider published once, and no longer. */
  readonly retired: SigningKey;
  readonly subject: string;
}

type Attacks = Record<string, string>;

export function attacksOf(attacker: Attacker): Attacks {
  return {
    ...ofSignature(attacker),
    ...ofPublicKey(attacker),
    ...ofKeyId(attacker),
    ...ofHeader(attacker),
    ...ofForm(attacker),
    ...ofClaims(attacker),
    ...ofOthers(attacker),
  };
}

const keyOf = (provider: TestProvider) => provider.keys[0] as SigningKey;
const headerOf = (provider: TestProvider) => ({ alg: 'RS256', typ: 'at+jwt', kid: keyOf(provider).kid });

function named<Value>(
  values: Readonly<Record<string, Value>>,
  name: string,
  make: (value: Value) => string,
): Attacks {
  return Object.fromEntries(Object.entries(values).map(([what, value]) => [`${name} ${what}`, make(value)]));
}

function ofSignature({ provider, subject }: Attacker): Attacks {
  const good = provider.token(subject);
  const claims = provider.claims(subject);
  const [header = '', payload = '', signature = ''] = good.split('.');
  const unsigned = (alg: string) => tokenOf({ ...headerOf(provider), alg }, claims, () => Buffer.from('x'));
  const bare = (alg: string) => `${encode({ ...headerOf(provider), alg })}.${encode(claims)}.`;
  const flipped = Buffer.from(signature, 'base64url');
  flipped[7] = (flipped[7] ?? 0) ^ 1;
  const key = keyOf(provider);
  return {
    ...named({ none: 'none', None: 'None', NONE: 'NONE', nOnE: 'nOnE' }, 'with the algorithm', unsigned),
    ...named({ none: 'none', None: 'None', NONE: 'NONE', RS256: 'RS256' }, 'without a signature, of', bare),
    'with one bit of the signature changed': `${header}.${payload}.${flipped.toString('base64url')}`,
    'with the signature cut': good.slice(0, -8),
    'with another payload under the same signature': `${header}.${encode({ ...claims, sub: 'root' })}.${signature}`,
    'signed by a key of the same name': provider.token(subject, { key: rsaKey(key.kid) }),
    'of a stronger algorithm that is not on the list': tokenOf(
      { ...headerOf(provider), alg: 'RS512' },
      claims,
      signerOf(key, 'RS512'),
    ),
    'of another padding that is not on the list': tokenOf(
      { ...headerOf(provider), alg: 'PS256' },
      claims,
      signerOf(key, 'PS256'),
    ),
    'of a curve under the name of a published key': provider.token(subject, { key: ecKey(key.kid) }),
    'of a curve that says it is RSA': tokenOf(headerOf(provider), claims, signerOf(ecKey(key.kid))),
    'of RSA that says it is a curve': provider.token(subject, { header: { alg: 'ES256' } }),
    'with an empty signature of zeros': tokenOf(headerOf(provider), claims, () => Buffer.alloc(256)),
  };
}

/** The public key is known to everybody: as the secret of an HMAC it signs nothing. */
function ofPublicKey({ provider, subject }: Attacker): Attacks {
  const key = keyOf(provider);
  const pem = key.publicKey.export({ format: 'pem', type: 'spki' }).toString();
  const secrets: Record<string, string | Buffer> = {
    PEM: pem,
    'PEM without its last line end': pem.trimEnd(),
    'PEM of PKCS#1': key.publicKey.export({ format: 'pem', type: 'pkcs1' }).toString(),
    DER: key.publicKey.export({ format: 'der', type: 'spki' }),
    'JWK JSON': JSON.stringify(jwkOf(key)),
    'PEM after white space': ` \n${pem}`,
    'PEM after a zero-width space': `\u200b${pem}`,
    'PEM after a comment': `# key\n${pem}`,
    nothing: '',
  };
  return Object.fromEntries(
    ['HS256', 'HS384', 'HS512'].flatMap((alg) =>
      Object.entries(secrets).map(([what, secret]) => [
        `of ${alg} with the public key as the secret: ${what}`,
        tokenOf({ ...headerOf(provider), alg }, provider.claims(subject), (input) =>
          createHmac(`sha${alg.slice(2)}`, secret)
            .update(input)
            .digest(),
        ),
      ]),
    ),
  );
}

function ofKeyId({ provider, subject, retired }: Attacker): Attacks {
  const ids: Record<string, unknown> = {
    'that is a path': '../../../../dev/null',
    'that is SQL': "x' union select 'secret' --",
    'that is a URL': 'https://evil.example.com/jwks',
    'that is an array': [keyOf(provider).kid],
    'that is an object': { kid: keyOf(provider).kid },
    'that is a number': 1,
    'that is null': null,
    'that is empty': '',
    'of 10 kB': 'k'.repeat(10_000),
    'of a prototype': '__proto__',
    'that nobody has': 'nobodys-key',
  };
  return {
    ...named(ids, 'with a key id', (kid) => provider.token(subject, { header: { kid } })),
    'of a key that was rotated out': provider.token(subject, { key: retired }),
  };
}

function ofHeader({ provider, subject }: Attacker): Attacks {
  const mine = rsaKey('mine');
  const headers: Record<string, object> = {
    jku: { jku: 'https://evil.example.com/jwks' },
    x5u: { x5u: 'https://evil.example.com/cert' },
    jwk: { jwk: jwkOf(mine) },
    x5c: { x5c: ['MIIB'] },
    crit: { crit: ['exp'], exp: 1 },
    'crit of nothing': { crit: [] },
    'b64: false': { b64: false, crit: ['b64'] },
    'cty, a token inside': { cty: 'JWT' },
    zip: { zip: 'DEF' },
  };
  return {
    ...named(headers, 'whose header has', (header) => provider.token(subject, { header })),
    'signed by the key it brings': provider.token(subject, { key: mine, header: { jwk: jwkOf(mine) } }),
    'that is an ID token by its type': provider.token(subject, { header: { typ: 'JWT' } }),
    'without a type': provider.token(subject, { header: { typ: undefined } }),
    'of a type that is an array': provider.token(subject, { header: { typ: ['at+jwt'] } }),
    'that is an ID token by its nonce': provider.token(subject, { claims: { nonce: 'n-0S6' } }),
    'that is an ID token by its hash of another': provider.token(subject, { claims: { at_hash: 'x' } }),
    'that says it is an ID token': provider.token(subject, { claims: { token_use: 'id' } }),
  };
}

function ofForm({ provider, subject }: Attacker): Attacks {
  const good = provider.token(subject);
  const sign = signerOf(keyOf(provider));
  const [header = '', payload = '', signature = ''] = good.split('.');
  const claims = JSON.stringify(provider.claims(subject));
  return {
    'with a claim twice': tokenOf(headerOf(provider), claims.replace('{', '{"sub":"root",'), sign),
    'with a header member twice': tokenOf(
      JSON.stringify(headerOf(provider)).replace('{', '{"alg":"none",'),
      claims,
      sign,
    ),
    'with claims that name a prototype': tokenOf(
      headerOf(provider),
      claims.replace('{', '{"__proto__":{"sub":"root"},'),
      sign,
    ),
    'with claims that are a list': tokenOf(headerOf(provider), [provider.claims(subject)], sign),
    'with claims that are no JSON': tokenOf(headerOf(provider), 'sub=root', sign),
    'with a token inside': tokenOf(headerOf(provider), good, sign),
    'that is encrypted': `${header}.${encode('key')}.${encode('iv')}.${payload}.${signature}`,
    'of two parts': `${header}.${payload}`,
    'of four parts': `${good}.${signature}`,
    'with padding': `${good}==`,
    'with a character that base64url leaves out': `${header}.${payload}.${signature.slice(0, 20)}+${signature.slice(21)}`,
    'in another spelling of its last bits': `${good.slice(0, -1)}${nextLetter(good.at(-1) ?? '')}`,
    'with a line end': `${header}.${payload}.${signature}%0A`,
  };
}

function ofClaims({ provider, subject }: Attacker): Attacks {
  const now = Math.floor(Date.now() / 1_000);
  const sign = signerOf(keyOf(provider));
  const changes: Record<string, object> = {
    'a wrong issuer': { iss: 'https://evil.example.com/' },
    'no issuer': { iss: undefined },
    'an issuer in an array': { iss: [provider.issuer] },
    'an issuer without its slash': { iss: provider.issuer.slice(0, -1) },
    'a wrong audience': { aud: 'https://another.example.com' },
    'no audience': { aud: undefined },
    'no audience in an array': { aud: [] },
    'wrong audiences in an array': { aud: ['https://another.example.com', 'account'] },
    'audiences that are no texts': { aud: [provider.audience, 1] },
    'an audience that begins like ours': { aud: `${provider.audience}.evil.example.com` },
    'an audience that is an object': { aud: { 0: provider.audience } },
    'no end': { exp: undefined },
    'an end that is null': { exp: null },
    'an end that is a text': { exp: String(now + 600) },
    'an end in the past': { exp: now - 120 },
    'an end that is negative': { exp: -1 },
    'an end that is a list': { exp: [now + 600] },
    'a beginning in the future': { nbf: now + 600 },
    'a beginning that is a text': { nbf: 'now' },
    'a birth in the future': { iat: now + 600 },
    'no birth': { iat: undefined },
    'no subject': { sub: undefined },
    'an empty subject': { sub: '' },
    'a subject in an array': { sub: [subject] },
    'a subject that is a number': { sub: 42 },
    'a subject with a NUL': { sub: `${subject}\0` },
    'a subject that is too long': { sub: 's'.repeat(256) },
  };
  return {
    ...named(changes, 'with', (claims) => provider.token(subject, { claims })),
    'with an end that is no number': tokenOf(
      headerOf(provider),
      JSON.stringify(provider.claims(subject, { exp: 0 })).replace('"exp":0', '"exp":1e999'),
      sign,
    ),
  };
}

function ofOthers({ provider, other, subject }: Attacker): Attacks {
  return {
    'of another client of the same issuer': provider.token(subject, {
      claims: { aud: 'another-client', azp: 'x' },
    }),
    'of another issuer that is trusted, for nobody here': other.token(subject, { header: { typ: 'JWT' } }),
    "that says it is another issuer's": other.token(subject, { claims: { iss: provider.issuer } }),
    "that another issuer's key signed under our key's name": provider.token(subject, {
      key: { ...keyOf(other), kid: keyOf(provider).kid },
    }),
  };
}

/** Another letter of the same bits that count: the last letter of 256 bytes has four that do not. */
function nextLetter(letter: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return alphabet[(alphabet.indexOf(letter) & ~15) | ((alphabet.indexOf(letter) + 1) & 15)] ?? '';
}
