import { Catalogue } from '../../domain/decision/catalogue.ts';
import { decide } from '../../domain/decision/decide.ts';
import { effectiveAccess } from '../../domain/decision/effective-access.ts';
import { nextChange } from '../../domain/decision/next-change.ts';
import { compileAccess } from '../../domain/decision/user-access.ts';
import { RolecallError } from '../../domain/errors.ts';
import type { Instant, Scope, UserId } from '../../domain/ids.ts';
import type { BuiltinPermission } from '../../domain/matrix/builtin.ts';
import type { AskedMoment } from '../../domain/moments.ts';
import { isLimited, type Principal } from '../../domain/principals.ts';
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
  type AccessCheck,
  type Answer,
  type Asking,
  aboutOthers,
  type Question,
  type UserPermissions,
} from './access-check.ts';
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

/**
 * Answers as they would have been, from the journal alone: of everything the last entry up to a revision says what stood
 * after it. Who may ask is decided by what the caller may do now. An id is whoever had it then: somebody who has another's
 * id since does not ask about themselves.
 */
export interface Past {
  /** All at one moment, in the order of the questions. */
  authorizeAll(
    asking: Asking,
    at: AskedMoment,
    questions: readonly Question[],
  ): Promise<PastAnswer & { readonly answers: readonly Answer[] }>;
  /** Throws `unknown_user`. */
  permissionsOf(
    asking: Asking,
    at: AskedMoment,
    user: UserId,
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

  /** What the caller may not ask is found out before anything is read. */
  async function admit(
    asking: Asking,
    permission: BuiltinPermission,
    about: readonly (readonly [UserId, Scope])[],
  ) {
    const others = about.filter(([user]) => !isWhole(asking.caller, user));
    await accessCheck.requireValid(asking);
    await requireIn(asking, permission, others);
  }

  async function requireIn(
    asking: Asking,
    permission: BuiltinPermission,
    about: readonly (readonly [UserId, Scope])[],
  ) {
    for (const scope of new Set(about.map(([, place]) => place)))
      await accessCheck.requireOf(asking, permission, scope);
  }

  /** The moment, and those who had the ids then, where the caller may ask about them. */
  async function look(
    asking: Asking,
    at: AskedMoment,
    permission: BuiltinPermission,
    about: readonly (readonly [UserId, Scope])[],
  ) {
    await admit(asking, permission, about);
    const settled = await settle(asking.deadline, at);
    const seen = await transactions.read(asking.deadline, async (handle) => {
      const moment = await then(handle, settled);
      return { moment, users: await usersNamed(handle, moment, new Set(about.map(([user]) => user))) };
    });
    const mistaken = about.filter(
      ([user]) => isWhole(asking.caller, user) && !isOwn(asking.caller, user, seen.users.get(user)),
    );
    await requireIn(asking, permission, mistaken);
    return seen;
  }

  return {
    settle,
    then,
    usersNamed,

    async authorizeAll(asking, at, questions) {
      const self = asking.caller.userId;
      const about = questions.map(({ user, scope }) => [user ?? self, scope] as const);
      const { moment, users } = await look(asking, at, aboutOthers.ask, about);
      const compiled = new Map(
        [...users].map(([id, { access }]) => [id, compileAccess(moment.catalogue, access, moment.at)]),
      );
      const answers = questions.map(({ user, permission, scope }) => {
        return {
          permission,
          decision: decide(moment.catalogue, compiled.get(user ?? self), permission, scope),
        };
      });
      return { answers, revision: formatRevision(moment.revision), at: moment.at };
    },

    async permissionsOf(asking, at, user, scope) {
      const { moment, users } = await look(asking, at, aboutOthers.see, [[user, scope]]);
      const found = users.get(user);
      if (!found) throw new RolecallError('unknown_user', 'there was no user with this id then');
      const permissions = {
        user,
        scope,
        ...effectiveAccess(compileAccess(moment.catalogue, found.access, moment.at), scope),
        expiresAt: nextChange(moment.catalogue, found.access, scope, moment.at),
      };
      return { permissions, revision: formatRevision(moment.revision), at: moment.at };
    },
  };
}

/** Whether the caller may ask about this user as about themselves, with a credential that leaves nothing out. */
function isWhole(caller: Principal, user: UserId): boolean {
  return user === caller.userId && !isLimited(caller);
}

/** Whether the caller asks about themselves, and not about somebody who had the id before. */
export function isOwn(caller: Principal, id: UserId, then: PastUser | undefined): boolean {
  return id === caller.userId && (then === undefined || then.pk === caller.userPk);
}
