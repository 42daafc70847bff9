import type { Parsed } from './ids.ts';

/** A point in the history of one database. */
export interface Revision {
  readonly epoch: string;
  readonly value: number;
}

/** An epoch and the revision at which it began. */
export interface Epoch {
  readonly id: string;
  readonly beganAt: number;
}

/** The opaque string that stands for a revision on the wire. */
export function formatRevision(revision: Revision): string {
  return `${revision.epoch}-${revision.value}`;
}

export function parseRevision(text: string): Parsed<Revision> {
  const parts = /^([0-9a-f]{12})-(0|[1-9][0-9]{0,15})$/.exec(text);
  if (!parts?.[1] || !parts[2] || !Number.isSafeInteger(Number(parts[2])))
    return { ok: false, why: 'a revision is a string that an earlier answer gave' };
  return { ok: true, value: { epoch: parts[1], value: Number(parts[2]) } };
}

/**
 * How an asked revision lies to the history whose epochs are given in the order in which they began and whose newest
 * revision is `head`. Of an older epoch, whatever came after the next one began is lost; so is what the present epoch
 * has not reached, because the head is read on the primary: a token can only be ahead of it if history was cut.
 */
export function placeRevision(
  asked: Revision,
  head: Revision,
  epochs: readonly Epoch[],
): 'reached' | 'lost' | 'foreign' {
  const index = epochs.findIndex((epoch) => epoch.id === asked.epoch);
  if (index === -1) return 'foreign';
  const last = epochs[index + 1]?.beganAt ?? head.value;
  return asked.value <= last ? 'reached' : 'lost';
}
