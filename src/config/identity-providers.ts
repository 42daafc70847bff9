import { z } from 'zod';

/** An OpenID provider whose access tokens are accepted. */
export interface IdentityProvider {
  /** Exactly what its tokens say in `iss`. */
  readonly issuer: string;
  /** What its tokens for this service say in `aud`. */
  readonly audience: string;
  readonly algorithms: readonly string[];
  /** `at+jwt` (RFC 9068), or `JWT` for providers that know only that. */
  readonly tokenType: 'at+jwt' | 'JWT';
  /** Where its keys are; null to ask its discovery document. */
  readonly jwksUrl: string | null;
}

export const providersForm =
  'a JSON list of {"issuer", "audience", "jwksUrl"?, "algorithms"?, "tokenType"?} (docs/identity.md)';

/** Signatures that anybody may check and only the provider can make. */
const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;

const url = z
  .string()
  .max(255, 'has at most 255 characters')
  .refine(isSafe, 'must be an https URL without user, query and fragment (http only on this machine)');

const provider = z.strictObject({
  issuer: url,
  audience: z
    .string('is missing: without it, tokens for any other service would be accepted')
    .min(1)
    .max(255),
  algorithms: z
    .array(z.enum(algorithms, `must be some of ${algorithms.join(', ')}`))
    .min(1)
    .default(['RS256']),
  tokenType: z.enum(['at+jwt', 'JWT'], 'must be at+jwt or JWT').default('at+jwt'),
  jwksUrl: url.nullable().default(null),
});

const providers = z.array(provider, 'must be a list').max(20, 'has at most 20 providers');

/** The providers that a variable lists, or everything that is wrong with them, in sentences. */
export function readProviders(
  text: string,
  variable: string,
): { readonly providers: readonly IdentityProvider[] } | { readonly problems: readonly string[] } {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return { problems: [`${variable} must be ${providersForm}`] };
  }
  const read = providers.safeParse(json);
  if (!read.success)
    return {
      problems: read.error.issues.map(
        ({ path, message }) =>
          `${[variable, ...path.map((step) => `[${String(step)}]`)].join('')} ${message}`,
      ),
    };
  const issuers = read.data.map(({ issuer }) => issuer);
  const twice = issuers.filter((issuer, index) => issuers.indexOf(issuer) !== index);
  if (twice.length > 0) return { problems: twice.map((issuer) => `${variable} names ${issuer} twice`) };
  return { providers: read.data };
}

/** What is fetched without TLS could be anybody's keys. */
function isSafe(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password, search, hash } = new URL(text);
  const isHere = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname);
  const isPlain = username === '' && password === '' && search === '' && hash === '';
  return isPlain && (protocol === 'https:' || (protocol === 'http:' && isHere));
}
