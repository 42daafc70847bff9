import { type CryptoKey, compactVerify, errors, type VerifyOptions } from 'jose';
import type { Instant } from '../../domain/ids.ts';
import {
  readToken,
  requireClaims,
  requireHeader,
  TokenFault,
  type TokenRules,
  type VerifiedToken,
} from '../../domain/tokens.ts';
import type { KeyPlace } from './provider-documents.ts';
import { type KeyLimits, type Keys, ProviderKeys, usualKeyLimits } from './provider-keys.ts';

/** An OpenID provider whose access tokens are accepted. */
export interface TokenProvider extends KeyPlace, TokenRules {}

/** A token that was found to hold, and by which keys of whom. */
export interface Verification {
  readonly token: VerifiedToken;
  /** Until when it is honoured. */
  readonly until: Instant;
  /** Whether its provider still has the keys it was verified with. */
  stillHasKeys(): boolean;
}

export interface JwtVerifier {
  /**
   * Judges a token at an instant, which is asked for only when everything else holds. Throws a TokenFault, or `unavailable`
   * if the provider's keys are not to be had.
   */
  verify(text: string, clock: () => Instant | Promise<Instant>): Promise<Verification>;
}

interface Provider extends TokenProvider {
  readonly keys: ProviderKeys;
}

/** Verifies access tokens of these providers, each by its own issuer, audience, algorithms and keys. */
export function openJwtVerifier(
  providers: readonly TokenProvider[],
  limits: KeyLimits = usualKeyLimits,
): JwtVerifier {
  const byIssuer = new Map<unknown, Provider>(
    providers.map((provider) => [provider.issuer, { ...provider, keys: new ProviderKeys(provider, limits) }]),
  );

  return {
    async verify(text, clock) {
      const read = readToken(text);
      const provider = byIssuer.get(read.claims['iss']);
      if (!provider) throw new TokenFault('its issuer is not known here');
      requireHeader(read.header, provider);
      const keys = await provider.keys.keysFor(read.header);
      await requireSignature(text, provider, keys);
      const token = requireClaims(read.claims, provider, await clock());
      return {
        token,
        until: token.expiresAt + provider.toleranceMs,
        stillHasKeys: () => provider.keys.current === keys,
      };
    },
  };
}

/** Of those that fit a token which does not say by which key it was signed. Providers have two or three. */
const mostKeysTried = 10;

async function requireSignature(text: string, { algorithms }: TokenRules, keys: Keys): Promise<void> {
  const options = { algorithms: [...algorithms] };
  try {
    await compactVerify(text, keys.find, options);
  } catch (error) {
    const isSigned =
      error instanceof errors.JWKSMultipleMatchingKeys && (await hasSigned(text, error, options));
    if (!isSigned) throw new TokenFault('its signature is not that of its provider', { cause: error });
  }
}

/** Whether one of the first of these keys signed the token. */
async function hasSigned(
  text: string,
  several: AsyncIterable<CryptoKey>,
  options: VerifyOptions,
): Promise<boolean> {
  let tried = 0;
  for await (const key of several) {
    if (tried === mostKeysTried) break;
    tried += 1;
    if (
      await compactVerify(text, key, options).then(
        () => true,
        () => false,
      )
    )
      return true;
  }
  return false;
}
