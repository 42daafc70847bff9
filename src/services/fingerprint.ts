import { randomInt } from 'node:crypto';

/** Two sums of the characters of a text, each taken as often as a factor says that only this process knows. */
export interface Fingerprint {
  readonly first: number;
  readonly second: number;
}

/** Below this. Times 256 characters and 128 places, sums stay below 2^53 and are exact. */
const factorBound = 2 ** 38;
const mostPlaces = 128;

/**
 * Makes fingerprints, for knowing a text of at most 128 Latin-1 characters again without keeping it; that of a longer one
 * is like none. Only those of texts that are equally long may be compared. Whoever does not know the factors hits the
 * fingerprint of another text with a chance of at most one in 2^76 for each guess: whatever the other terms of a sum are,
 * one factor of the 2^38 at most makes up for them. Whoever knows them can make such a text, so it is for use within the
 * process alone; docs/decisions/0013 says why it is not a hash.
 */
export function openFingerprints(): (text: string) => Fingerprint {
  const factors = () => Float64Array.from({ length: mostPlaces }, () => randomInt(factorBound));
  const [firstFactors, secondFactors] = [factors(), factors()];
  return (text) => {
    let first = 0;
    let second = 0;
    for (let place = 0; place < text.length; place += 1) {
      const character = text.charCodeAt(place);
      first += character * (firstFactors[place] as number);
      second += character * (secondFactors[place] as number);
    }
    return { first, second };
  };
}
