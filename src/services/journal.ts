import type { Instant, PermissionSlug, RoleKey, Scope, UserId } from '../domain/ids.ts';
import { shownTerms } from '../domain/journal-entries.ts';
import { formatRevision } from '../domain/revisions.ts';
import { everywhere } from '../domain/scopes.ts';
import { sees } from '../domain/sight.ts';
import { type ChainPlace, chainBeginning, verifyChain } from '../storage/chain.ts';
import type { ReadHandle } from '../storage/database.ts';
import { type DenialRow, denialsBefore } from '../storage/denials.ts';
import { keysEverNamed } from '../storage/erasure.ts';
import type { Cursors, Page, PageRequest } from '../storage/pagination.ts';
import { findPermission } from '../storage/permissions.ts';
import {
  type JournalKey,
  type JournalPosition,
  type JournalRow,
  journalKeys,
  journalRowsBefore,
  revisionAt,
  revisionNumbered,
  rolesEverNamed,
} from '../storage/read-models/journal-rows.ts';
import type { Transactions } from '../storage/transaction.ts';
import type { Call } from './call.ts';
import { pageOfThose } from './decisions/sieved-page.ts';

export type { DenialRow, JournalRow };

/** Which rows to show: those that meet all of it. Names may be of what is gone. */
export interface JournalFilter {
  readonly user?: UserId | undefined;
  readonly role?: RoleKey | undefined;
  readonly permission?: PermissionSlug | undefined;
  readonly actor?: UserId | undefined;
  readonly kind?: string | undefined;
  readonly from?: Instant | undefined;
  readonly to?: Instant | undefined;
}

/** How far the chain was followed, and whether it is whole so far. */
export interface ChainReport {
  readonly rows: number;
  readonly broken: string | null;
  /** The revision up to which it is whole, as a token. */
  readonly wholeUpTo: string;
  /** Goes on from there; null at the end, or where the chain is broken. */
  readonly nextCursor: string | null;
}

export interface Journal {
  /**
   * What happened in the caller's sight, newest first. A page may be shorter than its limit and the next one still have something: rows that a
   * second filter leaves out are passed over, so many at a time.
   */
  list(call: Call, filter: JournalFilter, page: PageRequest): Promise<Page<JournalRow>>;
  /** Follows the chain over so many rows, from the beginning or from where another call came to. */
  verify(call: Call, after: string | undefined): Promise<ChainReport>;
  /** Who was refused what, newest first. */
  denials(call: Call, page: PageRequest): Promise<Page<DenialRow>>;
}

/** Rows of the chain that one call follows: some tenths of a second. */
const verifiedAtOnce = 5_000;
const afterEverything: JournalPosition = [Number.MAX_SAFE_INTEGER, 0];

export function openJournal(transactions: Transactions, cursors: Cursors, journalKey: string): Journal {
  return {
    list: (call, filter, page) =>
      transactions.read(call.deadline, async (handle) => {
        const { kind, from, to } = filter;
        const named = await keysNamed(handle, filter);
        const first = named[0] ?? null;
        const lane = first && { key: first[0], pks: first[1] };
        const bounds = {
          after: from === undefined ? 0 : await revisionAt(handle.sql, justBefore(from)),
          upTo: to === undefined ? null : await revisionAt(handle.sql, endOfMillisecond(to)),
        };
        const newest = bounds.upTo === null ? afterEverything : ([bounds.upTo + 1, 0] as const);
        return pageOfThose<JournalRow, JournalRow>(cursors, page, {
          list: `journal ${JSON.stringify(filter)}`,
          read: (position, limit) => {
            const before = position === null ? newest : (JSON.parse(position) as JournalPosition);
            return journalRowsBefore(handle.sql, lane, before, bounds.after, limit);
          },
          positionOf: ({ revision, number }) => JSON.stringify([revision, number]),
          keep(row) {
            if (!sees(call.sight, scopeOf(row))) return undefined;
            const isNamed = named.every(([key, pks]) => pks.includes(row.pks[key] ?? 0));
            return isNamed && (kind === undefined || row.kind === kind) ? row : undefined;
          },
        });
      }),

    verify: (call, after) =>
      transactions.read(call.deadline, async ({ sql }) => {
        const list = 'journal chain';
        const position = cursors.positionOf(list, { limit: 1, after });
        const from = position === null ? chainBeginning : placeIn(position);
        const { rows, broken, place, ended } = await verifyChain(sql, journalKey, {
          from,
          most: verifiedAtOnce,
        });
        const goesOn = broken === null && !ended;
        const nextCursor = goesOn ? cursors.cursorAt(list, textOf(place)) : null;
        const wholeUpTo = formatRevision(await revisionNumbered(sql, place.revision));
        return { rows, broken, wholeUpTo, nextCursor };
      }),

    denials: (call, page) =>
      transactions.read(call.deadline, async ({ sql }) => {
        const position = cursors.positionOf('denials', page);
        const rows = await denialsBefore(sql, position === null ? null : Number(position), page.limit + 1);
        return cursors.pageOf('denials', page, rows, ({ pk }) => String(pk));
      }),
  };
}

/** An entry as everybody is shown it. What is sealed is the row. */
export function shownEntry({
  epoch,
  revision,
  actorKind,
  actor,
  isActedFor,
  through,
  key,
  issuer,
  isAboutUser,
  pks: _,
  ...row
}: JournalRow) {
  return {
    ...row,
    revision: formatRevision({ epoch, value: revision }),
    actor: {
      kind: actorKind,
      user: actor,
      key,
      ...(isActedFor ? { through } : {}),
      ...(issuer === null ? {} : { issuer }),
    },
    before: shownTerms(row.before),
    after: shownTerms(row.after),
    erased: isAboutUser && row.user === null,
  };
}

/** A refused attempt as everybody is shown it. */
export function shownDenial({ isActedFor, through, ...row }: DenialRow) {
  return { ...row, ...(isActedFor ? { through } : {}) };
}

/** What the filter names, by internal keys, in the order in which they are looked for: few rows first. */
async function keysNamed(
  handle: ReadHandle,
  { user, role, permission, actor }: JournalFilter,
): Promise<readonly (readonly [JournalKey, readonly number[]])[]> {
  const found: Partial<Record<JournalKey, readonly number[]>> = {};
  const keysOf = async (id: UserId) => [...(await keysEverNamed(handle.sql, [id])).keys()];
  if (user !== undefined) found.user_pk = await keysOf(user);
  if (actor !== undefined) found.actor_pk = await keysOf(actor);
  if (role !== undefined) found.role_pk = await rolesEverNamed(handle.sql, role);
  if (permission !== undefined) {
    const known = await findPermission(handle, permission);
    found.permission_pk = known ? [known.pk] : [];
  }
  return journalKeys.flatMap((key) => (found[key] ? [[key, found[key]] as const] : []));
}

/** Times are whole milliseconds here and microseconds there. */
function justBefore(instant: Instant): string {
  return new Date(instant - 1).toISOString().replace('Z', '999Z');
}

/** Entries have microseconds where an instant has none: with these, all of its millisecond. */
function endOfMillisecond(instant: Instant): string {
  return new Date(instant).toISOString().replace('Z', '999Z');
}

/** Where a change counts: grants and exceptions in their scope. All else is of the installation, also what names a scope. */
function scopeOf({ kind, before, after }: JournalRow): Scope {
  if (!/^(grant|exception)_/.test(kind)) return everywhere;
  const { scope = everywhere } = { ...(before as object), ...(after as object) } as { scope?: Scope };
  return scope;
}

function textOf({ revision, number, head }: ChainPlace): string {
  return JSON.stringify([revision, number, head.toString('hex')]);
}

function placeIn(text: string): ChainPlace {
  const [revision, number, head] = JSON.parse(text) as [number, number, string];
  return { revision, number, head: Buffer.from(head, 'hex') };
}
