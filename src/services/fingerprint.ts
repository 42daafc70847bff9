import { randomInt } from 'node:crypto';

/** Two sums of the characters of a text, each taken as often as a factor says that only this process knows. */
export interface Fingerprint {
  readonly first: number;
  readonly second: number;
}

/** Times 256 characters and 128 places, sums stay below 2^53 and are exact. */
const largestFactor = 2 ** 38;
const mostPlaces = 128;

/**
 * Makes fingerprints, for knowing a text of at most 128 Latin-1 characters again without keeping it. Only those of texts
 * that are equally long may be compared. Whoever does not know the factors makes another text with the same fingerprint
 * with a chance of one in 2^76: whatever the other terms of a sum are, one factor of 2^38 at most makes up for them. For
 * use within the process alone; docs/decisions/0013 says why not a hash.
 */
export function openFingerprints(): (text: string) => Fingerprint {
  const factors = () => Float64Array.from({ length: mostPlaces }, () => randomInt(largestFactor));
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
