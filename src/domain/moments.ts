import type { Instant, Parsed } from './ids.ts';
import { parseRevision, type Revision } from './revisions.ts';

/** When something is asked about: at a revision, or at a time. */
export type AskedMoment =
  | { readonly revision: Revision }
  /** UTC with six digits after the point, so that times compare as text, and the same in whole milliseconds. */
  | { readonly time: string; readonly instant: Instant };

const timeForm = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)$/;

const lastInstant = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** A revision that an earlier answer gave, or a time as RFC 3339 writes it, from 1970 on. */
export function parseMoment(text: string): Parsed<AskedMoment> {
  const revision = parseRevision(text);
  if (revision.ok) return { ok: true, value: { revision: revision.value } };
  const form = timeForm.exec(text);
  const instant = form ? Date.parse(text) : Number.NaN;
  // A day that its month does not have would be taken for one of the next.
  const isDay = new Date(`${text.slice(0, 10)}T00:00:00Z`).toJSON()?.startsWith(text.slice(0, 10)) ?? false;
  if (!(instant >= 0 && instant <= lastInstant) || !isDay)
    return {
      ok: false,
      why: 'a moment is a revision that an answer gave, or a time as 2027-01-31T12:00:00Z',
    };
  // Said in UTC, for PostgreSQL knows no offsets of 16 hours or more; an offset never moves what stands behind the point.
  const time = `${new Date(instant).toISOString().slice(0, 19)}${(form?.[1] ?? '.').padEnd(7, '0')}Z`;
  return { ok: true, value: { time, instant } };
}

/** The time that is next after one in UTC with six digits after the point, as `2027-01-31T12:00:00.000000Z`. */
export function nextMicrosecond(time: string): string {
  const micros = Number(time.slice(20, 26)) + 1;
  if (micros < 1_000_000) return `${time.slice(0, 20)}${String(micros).padStart(6, '0')}Z`;
  return `${new Date(Date.parse(`${time.slice(0, 19)}Z`) + 1_000).toISOString().slice(0, 20)}000000Z`;
}
