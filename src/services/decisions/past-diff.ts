import { effectiveAccess } from '../../domain/decision/effective-access.ts';
import { compileAccess } from '../../domain/decision/user-access.ts';
import { RolecallError } from '../../domain/errors.ts';
import type { PermissionSlug, Scope, UserId } from '../../domain/ids.ts';
import type { AskedMoment } from '../../domain/moments.ts';
import { formatRevision } from '../../domain/revisions.ts';
import type { PastUser } from '../../storage/read-models/history.ts';
import { readNow } from '../../storage/read-models/history-moments.ts';
import { type JournalRow, journalRowsBefore } from '../../storage/read-models/journal-rows.ts';
import type { Transactions } from '../../storage/transaction.ts';
import type { Call } from '../call.ts';
import type { Past, PastAnswer, Then } from './past.ts';

/** What came and what went between two moments in one scope, of what a user may do there. */
export interface ScopeDiff {
  readonly scope: Scope;
  readonly gained: readonly PermissionSlug[];
  readonly lost: readonly PermissionSlug[];
}

export interface AccessDiff {
  readonly from: PastAnswer;
  readonly to: PastAnswer;
  /** Of every scope at which the user had anything at one of the moments, those in which something is other. */
  readonly scopes: readonly ScopeDiff[];
  /** The entries about the user in between, newest first, no more than so many. */
  readonly changes: readonly JournalRow[];
}

export interface PastDiff {
  /**
   * What a user may do at the second moment, or now, and not at the first, and the other way round. Roles may have changed
   * too: what they gave came and went without an entry about the user. Throws `unknown_user` who was nobody at both.
   */
  between(call: Call, user: UserId, from: AskedMoment, to: AskedMoment | null): Promise<AccessDiff>;
}

const mostChanges = 200;

export function openPastDiff(transactions: Transactions, past: Past): PastDiff {
  return {
    between: (call, id, from, to) =>
      transactions.read(call.deadline, async (handle) => {
        const [before, after] = [
          await past.then(handle, from),
          await past.then(handle, to ?? (await readNow(handle.sql))),
        ];
        if (before.at > after.at || before.revision.value > after.revision.value)
          throw new RolecallError('invalid_input', '`from` is later than `to`');
        const was = (await past.usersNamed(handle, before, [id])).get(id);
        const is = (await past.usersNamed(handle, after, [id])).get(id);
        if (!was && !is) throw new RolecallError('unknown_user', 'there was no user with this id then');
        const pks = [...new Set([was, is].flatMap((user) => (user ? [user.pk] : [])))];
        const end = [after.revision.value + 1, 0] as const;
        return {
          from: answerOf(before),
          to: answerOf(after),
          scopes: scopesOf(was, is)
            .map((scope) => diffIn(scope, listIn(before, was, scope), listIn(after, is, scope)))
            .filter(({ gained, lost }) => gained.length + lost.length > 0),
          changes: await journalRowsBefore(
            handle.sql,
            { key: 'user_pk', pks },
            end,
            before.revision.value,
            mostChanges,
          ),
        };
      }),
  };
}

function answerOf({ revision, at }: Then): PastAnswer {
  return { revision: formatRevision(revision), at };
}

function scopesOf(...users: readonly (PastUser | undefined)[]): readonly Scope[] {
  const held = users.flatMap((user) => (user ? [...user.access.grants, ...user.access.exceptions] : []));
  return [...new Set(held.map(({ scope }) => scope))].sort();
}

function listIn(
  { catalogue, at }: Then,
  user: PastUser | undefined,
  scope: Scope,
): readonly PermissionSlug[] {
  return user ? effectiveAccess(compileAccess(catalogue, user.access, at), scope).permissions : [];
}

function diffIn(
  scope: Scope,
  before: readonly PermissionSlug[],
  after: readonly PermissionSlug[],
): ScopeDiff {
  const [was, is] = [new Set(before), new Set(after)];
  return {
    scope,
    gained: after.filter((slug) => !was.has(slug)),
    lost: before.filter((slug) => !is.has(slug)),
  };
}
