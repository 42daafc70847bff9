import { networkOf } from '../domain/networks.ts';
import { Rates } from '../domain/rates.ts';
import { tooMany } from './limits.ts';

/** Where a request came from. Read only when it matters: asking the socket costs something. */
export interface Origin {
  readonly ip: string;
}

/**
 * Keeps whoever guesses keys from the database: what is looked up in vain is counted for each address, in bounded memory.
 * A key that was once found good in this process is looked up even when its address has had its wrong ones.
 */
export interface WrongKeys {
  /** Throws `rate_limited` if the key would be looked up for an address that has had its wrong ones. */
  requirePatience(keyId: string, origin: Origin): void;
  foundGood(keyId: string): void;
  /** `stands` says whether a key with this id would have been good, had the secret been. */
  foundWrong(keyId: string, origin: Origin, stands: boolean): void;
}

const mostAddresses = 10_000;
const mostGoodKeys = 10_000;

export function openWrongKeys(perSecond: number, now = () => performance.now()): WrongKeys {
  const rates = new Rates(perSecond, mostAddresses);
  const good = new Set<string>();
  return {
    requirePatience(keyId, origin) {
      if (good.has(keyId)) return;
      const wait = rates.wait(networkOf(origin.ip), now());
      if (wait > 0) throw tooMany('too many wrong keys came from this address', wait);
    },
    foundGood(keyId) {
      good.delete(keyId);
      good.add(keyId);
      const [longestAgo] = good.size > mostGoodKeys ? good : [];
      if (longestAgo !== undefined) good.delete(longestAgo);
    },
    foundWrong(keyId, origin, stands) {
      if (!stands) good.delete(keyId);
      rates.spend(networkOf(origin.ip), now());
    },
  };
}
