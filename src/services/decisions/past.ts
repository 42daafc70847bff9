import { Catalogue } from '../../domain/decision/catalogue.ts';
import { decide } from '../../domain/decision/decide.ts';
import { effectiveAccess } from '../../domain/decision/effective-access.ts';
import { nextChange } from '../../domain/decision/next-change.ts';
import { type CompiledAccess, compileAccess } from '../../domain/decision/user-access.ts';
import { RolecallError } from '../../domain/errors.ts';
import type { Instant, Scope, UserId } from '../../domain/ids.ts';
import type { BuiltinPermission } from '../../domain/matrix/builtin.ts';
import type { AskedMoment } from '../../domain/moments.ts';
import { isLimited, type Principal, usersBehind } from '../../domain/principals.ts';
import { formatRevision } from '../../domain/revisions.ts';
import type { ReadHandle } from '../../storage/database.ts';
import { keysEverNamed } from '../../storage/erasure.ts';
import {
  catalogueAfter,
  catalogueRevisionAt,
  type PastCatalogue,
  type PastUser,
  usersAfter,
} from '../../storage/read-models/history.ts';
import {
  type PastMoment,
  placeMoment,
  type SettledMoment,
} from '../../storage/read-models/history-moments.ts';
import type { Transactions } from '../../storage/transaction.ts';
import {
  type About,
  type AccessCheck,
  type Answer,
  type Asking,
  aboutOthers,
  isForeign,
  type Question,
  type UserPermissions,
} from './access-check.ts';
import { limitedDecision, limitedList, type Standing } from './credential-reach.ts';
import type { Settle } from './settling.ts';

/** A moment of the past with what roles meant then. */
export interface Then extends PastMoment {
  readonly catalogue: Catalogue;
  readonly rows: PastCatalogue;
}

/** What an answer about the past says of when it was so. */
export interface PastAnswer {
  readonly revision: string;
  readonly at: Instant;
}

/** What an answer is computed from. */
interface Seen {
  readonly moment: Then;
  accessOf(user: UserId | null): CompiledAccess | undefined;
  /** Whether a question is about what the caller may do through a credential that leaves less than all. */
  isThrough(user: UserId | null): boolean;
  /** What the caller and whoever acts for them had then: they, not whoever had their ids. */
  readonly behind: Standing;
}

/**
 * Answers as they would have been, from the journal alone: of everything the last entry up to a revision says what stood
 * after it. Who may ask is decided by what the caller may do now. An id is whoever had it then: somebody who has another's
 * id since does not ask about themselves. What is asked about the caller is answered for what they and whoever acts for them
 * had then, as far as the credential reaches now: nobody is told of more than they could have done with it.
 */
export interface Past {
  /** All at one moment, in the order of the questions. Throws `invalid_input` if they are more than the setting allows. */
  authorizeAll(
    asking: Asking,
    at: AskedMoment,
    questions: readonly Question[],
  ): Promise<PastAnswer & { readonly answers: readonly Answer[] }>;
  /** Throws `unknown_user`; null is the caller. */
  permissionsOf(
    asking: Asking,
    at: AskedMoment,
    user: UserId | null,
    scope: Scope,
  ): Promise<PastAnswer & { readonly permissions: UserPermissions }>;
  readonly settle: Settle;
  /** The moment, on the handle's snapshot, which was begun after it was settled. */
  then(handle: ReadHandle, at: SettledMoment): Promise<Then>;
  /** Whoever had the ids then; who is not in it did not exist. */
  usersNamed(handle: ReadHandle, then: Then, ids: Iterable<UserId>): Promise<ReadonlyMap<UserId, PastUser>>;
}

const mostCatalogues = 8;

export function openPast(transactions: Transactions, accessCheck: AccessCheck, settle: Settle): Past {
  const known = new Map<string, Pick<Then, 'catalogue' | 'rows'>>();

  async function catalogueThen({ sql }: ReadHandle, { revision }: PastMoment) {
    const value = await catalogueRevisionAt(sql, revision.value);
    const name = `${revision.epoch} ${value}`;
    const found = known.get(name);
    if (found) return found;
    const rows = await catalogueAfter(sql, value);
    const made = { rows, catalogue: new Catalogue(rows) };
    known.set(name, made);
    const [oldest] = known.keys();
    if (known.size > mostCatalogues && oldest !== undefined) known.delete(oldest);
    return made;
  }

  async function then(handle: ReadHandle, at: SettledMoment): Promise<Then> {
    const moment = await placeMoment(handle.sql, at);
    return { ...moment, ...(await catalogueThen(handle, moment)) };
  }

  async function usersNamed({ sql }: ReadHandle, { revision }: Then, ids: Iterable<UserId>) {
    const named = await keysEverNamed(sql, [...ids]);
    const users = await usersAfter(sql, revision.value, [...named.keys()]);
    return new Map(users.map((user) => [named.get(user.pk) as UserId, user]));
  }

  /** The moment, and what those had then whom the caller may ask about. */
  async function look(
    asking: Asking,
    at: AskedMoment,
    permission: BuiltinPermission,
    about: readonly About[],
  ): Promise<Seen> {
    const { caller } = asking;
    // What the caller may not ask is found out before anything is read.
    await accessCheck.requireAsking(asking, permission, about);
    const settled = await settle(asking.deadline, at);
    const ids = new Set([...usersBehind(caller), ...about.flatMap(({ user }) => user ?? [])]);
    const { moment, users } = await transactions.read(asking.deadline, async (handle) => {
      const moment = await then(handle, settled);
      return { moment, users: await usersNamed(handle, moment, ids) };
    });
    if (!isOwn(caller, caller.userId, users.get(caller.userId))) {
      const mistaken = about.filter(({ user }) => !isForeign(caller, user));
      for (const scope of new Set(mistaken.map(({ scope }) => scope)))
        await accessCheck.requireOf(asking, permission, scope);
    }
    const accesses = new Map(
      [...users].map(([id, { access }]) => [id, compileAccess(moment.catalogue, access, moment.at)]),
    );
    const pks = [caller.userPk, caller.through?.userPk];
    const behind = {
      catalogue: moment.catalogue,
      at: moment.at,
      accessOf: (id: UserId) => (pks.includes(users.get(id)?.pk) ? accesses.get(id) : undefined),
    };
    const isThrough = (user: UserId | null) => user === null && isLimited(caller);
    const accessOf = (user: UserId | null) =>
      isThrough(user) ? behind.accessOf(caller.userId) : accesses.get(user ?? caller.userId);
    return { moment, accessOf, isThrough, behind };
  }

  return {
    settle,
    then,
    usersNamed,

    async authorizeAll(asking, at, questions) {
      const { moment, accessOf, isThrough, behind } = await look(asking, at, aboutOthers.ask, questions);
      const answers = questions.map(({ user, permission, scope }) => {
        const whole = decide(moment.catalogue, accessOf(user), permission, scope);
        const decision = isThrough(user)
          ? limitedDecision(whole, behind, asking.caller, permission, scope)
          : whole;
        return { permission, decision };
      });
      return { answers, revision: formatRevision(moment.revision), at: moment.at };
    },

    async permissionsOf(asking, at, user, scope) {
      const { moment, accessOf, isThrough, behind } = await look(asking, at, aboutOthers.see, [
        { user, scope },
      ]);
      const access = accessOf(user);
      if (!access) throw new RolecallError('unknown_user', 'there was no user with this id then');
      const whole = {
        user: user ?? asking.caller.userId,
        scope,
        ...effectiveAccess(access, scope),
        expiresAt: nextChange(moment.catalogue, access.user, scope, moment.at),
      };
      const permissions = isThrough(user) ? limitedList(whole, behind, asking.caller) : whole;
      return { permissions, revision: formatRevision(moment.revision), at: moment.at };
    },
  };
}

/** Whether the caller asks about themselves, and not about somebody who had the id before. */
export function isOwn(caller: Principal, id: UserId, then: PastUser | undefined): boolean {
  return id === caller.userId && (then === undefined || then.pk === caller.userPk);
}
