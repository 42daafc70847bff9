import { performance } from 'node:perf_hooks';
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';
import { TokenFault, type TokenHeader } from '../../domain/tokens.ts';
import { fetchDocument, findJwksUrl, type KeyPlace, notHad } from './provider-documents.ts';

/** A provider's keys as they were fetched; the same object as long as they stay the same. */
export interface Keys {
  readonly find: JWTVerifyGetKey;
  readonly text: string;
}

/** Times in milliseconds on the monotonic clock. */
export interface KeyLimits {
  /** Between the beginnings of two fetches, whatever anybody asks for. */
  readonly betweenFetches: number;
  /** How old keys may be before they are fetched again while they are used. */
  readonly fresh: number;
  /** How old keys may be that are still used though they cannot be fetched. */
  readonly usable: number;
  readonly fetchTimeout: number;
}

export const usualKeyLimits: KeyLimits = {
  betweenFetches: 30_000,
  fresh: 300_000,
  usable: 86_400_000,
  fetchTimeout: 1_500,
};

const mostKeys = 100;

/**
 * The keys of one provider: fetched when they are first needed, again when they are old or a token names another, and
 * never more often than the limits say, so that nobody's invented key ids become fetches. Without the provider they go on.
 */
export class ProviderKeys {
  readonly #place: KeyPlace;
  readonly #limits: KeyLimits;
  #url: string | undefined;
  #keys: Keys | undefined;
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #triedAt = Number.NEGATIVE_INFINITY;
  #failure: unknown;
  #fetching: Promise<void> | undefined;

  constructor(place: KeyPlace, limits: KeyLimits) {
    this.#place = place;
    this.#limits = limits;
  }

  /** The keys that count, if any do. Old ones are fetched again meanwhile, for whoever comes next. */
  get current(): Keys | undefined {
    const age = performance.now() - this.#fetchedAt;
    if (age >= this.#limits.fresh) this.#fetch();
    return age < this.#limits.usable ? this.#keys : undefined;
  }

  /**
   * Keys of which one can have signed a token with this header, as far as anybody can know. Throws a TokenFault if the
   * provider had no such key when it was asked, no longer ago than the time between two fetches, and `unavailable` if it
   * could not be asked. A key that was published since is refused too: else anybody could have `unavailable` for an
   * invented one.
   */
  async keysFor(header: TokenHeader): Promise<Keys> {
    const known = this.current;
    if (known && (await hasKeyFor(known, header))) return known;
    await this.#fetch();
    if (this.#failure) throw this.#failure;
    const keys = this.current;
    if (keys && (await hasKeyFor(keys, header))) return keys;
    throw new TokenFault('its provider had no such key when it was asked');
  }

  #fetch(): Promise<void> | undefined {
    const now = performance.now();
    if (now - this.#triedAt >= this.#limits.betweenFetches) {
      this.#triedAt = now;
      this.#fetching = this.#read().then(
        () => {
          this.#failure = undefined;
        },
        (error: unknown) => {
          this.#failure = error;
          this.#url = undefined;
        },
      );
    }
    return this.#fetching;
  }

  async #read(): Promise<void> {
    const { fetchTimeout } = this.#limits;
    const begun = performance.now();
    this.#url ??= await findJwksUrl(this.#place, fetchTimeout);
    const keys = await readKeys({ ...this.#place, jwksUrl: this.#url }, fetchTimeout);
    if (keys.text !== this.#keys?.text) this.#keys = keys;
    this.#fetchedAt = begun;
  }
}

/** The keys that a provider publishes now. Throws `unavailable`. */
export async function readKeys(place: KeyPlace, timeoutMs: number): Promise<Keys> {
  const url = await findJwksUrl(place, timeoutMs);
  const document = (await fetchDocument(url, timeoutMs)) as JSONWebKeySet;
  return { find: keySetOf(document, place.issuer), text: JSON.stringify(document) };
}

function keySetOf(document: JSONWebKeySet, issuer: string): JWTVerifyGetKey {
  if (!Array.isArray(document.keys) || document.keys.length > mostKeys)
    throw notHad(issuer, `its document is no list of at most ${mostKeys} keys`);
  try {
    return createLocalJWKSet(document);
  } catch (error) {
    throw notHad(issuer, 'its document is no set of keys', error);
  }
}

async function hasKeyFor({ find }: Keys, header: TokenHeader): Promise<boolean> {
  const { alg, kid } = header;
  try {
    await find(kid === undefined ? { alg } : { alg, kid }, { payload: '', signature: '' });
    return true;
  } catch (error) {
    if (error instanceof errors.JWKSNoMatchingKey) return false;
    // One of several, or one that is no key: which, only the signature tells.
    return true;
  }
}
