import { impactOn, type ScopeImpact } from '../../domain/decision/impact.ts';
import { RolecallError } from '../../domain/errors.ts';
import type { UserId } from '../../domain/ids.ts';
import type { AskedMoment } from '../../domain/moments.ts';
import { formatRevision } from '../../domain/revisions.ts';
import { type JournalRow, journalRowsBefore } from '../../storage/read-models/journal-rows.ts';
import type { Transactions } from '../../storage/transaction.ts';
import type { Call } from '../call.ts';
import type { Past, PastAnswer, Then } from './past.ts';

export interface AccessDiff {
  readonly from: PastAnswer;
  readonly to: PastAnswer;
  /** Of every scope at which the user had anything at one of the moments, those in which something is other. */
  readonly scopes: readonly ScopeImpact[];
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
    async between(call, id, from, to) {
      const settled = [await past.settle(call.deadline, from), await past.settle(call.deadline, to)] as const;
      return transactions.read(call.deadline, async (handle) => {
        const [before, after] = [await past.then(handle, settled[0]), await past.then(handle, settled[1])];
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
          scopes: impactOn({ ...before, access: was?.access }, { ...after, access: is?.access }),
          changes: await journalRowsBefore(
            handle.sql,
            { key: 'user_pk', pks },
            end,
            before.revision.value,
            mostChanges,
          ),
        };
      });
    },
  };
}

function answerOf({ revision, at }: Then): PastAnswer {
  return { revision: formatRevision(revision), at };
}
