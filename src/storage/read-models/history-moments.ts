import { RolecallError } from '../../domain/errors.ts';
import type { Instant } from '../../domain/ids.ts';
import type { AskedMoment } from '../../domain/moments.ts';
import { type Epoch, formatRevision, placeRevision, type Revision } from '../../domain/revisions.ts';
import type { Sql } from '../database.ts';
import { revisionAt, revisionNumbered } from './journal-rows.ts';

declare const settled: unique symbol;

/** A moment to which no write can come any more. What waits for that hands it out, and the compiler knows. */
export type SettledMoment = AskedMoment & { readonly [settled]: true };

/** A moment of the past: the last revision that there was, and the instant at which starts and ends are judged. */
export interface PastMoment {
  readonly revision: Revision;
  readonly at: Instant;
}

interface Head {
  readonly revision: Revision;
  readonly epochs: readonly Epoch[];
}

/**
 * Where an asked moment lies: at a time, after the last revision whose time is not later; at a revision, at that
 * revision's time. On a snapshot that is younger than the moment was settled. Throws `invalid_input` for a revision that is still
 * to come and for what was before the first one, `invalid_revision` and `lost_history` for a revision that this history
 * does not have.
 */
export async function placeMoment(sql: Sql, asked: SettledMoment): Promise<PastMoment> {
  if ('revision' in asked) return atRevision(sql, asked.revision);
  const value = await revisionAt(sql, asked.time);
  if (value === 0) throw notPast('was before the record begins');
  return { revision: await revisionNumbered(sql, value), at: asked.instant };
}

async function atRevision(sql: Sql, asked: Revision): Promise<PastMoment> {
  if (!(await isReached(sql, asked))) throw notPast('has not come yet');
  if (asked.value === 0) throw notPast('was before the record begins');
  const [row] = await sql<{ at: Instant }[]>`
    select floor(extract(epoch from time) * 1000)::float8 as at from rolecall.journal
    where revision = ${asked.value} and number = 1`;
  if (!row) throw new Error('the journal lacks a revision');
  return { revision: asked, at: row.at };
}

/**
 * Whether a revision of this history has come yet. Throws `invalid_revision` for one of another database, and `lost_history`
 * for one that this history no longer has.
 */
export async function isReached(sql: Sql, asked: Revision): Promise<boolean> {
  const [head] = await sql<[Head]>`
    select json_build_object('epoch', epoch, 'value', value) as revision,
      (select json_agg(json_build_object('id', id, 'beganAt', began_at_revision) order by began_at_revision, began_at)
        from rolecall.epochs) as epochs
    from rolecall.revision`;
  const place = placeRevision(asked, head.revision, head.epochs);
  if (place === 'foreign')
    throw new RolecallError('invalid_revision', `${formatRevision(asked)} is no revision of this database`);
  if (place === 'lost' && asked.epoch !== head.revision.epoch)
    throw new RolecallError(
      'lost_history',
      'this database does not have that revision: history was lost in a restore or failover',
    );
  return place === 'reached';
}

/** The refusal of a moment that there was not. */
export function notPast(why: string): RolecallError {
  const detail = `the moment ${why}`;
  return new RolecallError('invalid_input', `\`at\`: ${detail}`, {
    errors: [{ pointer: '/at', code: 'invalid_value', detail }],
  });
}
