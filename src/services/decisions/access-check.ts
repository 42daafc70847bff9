import { refuseTooMany } from '../../domain/batch-limits.ts';
import { type Decision, decide } from '../../domain/decision/decide.ts';
import { scopesOf } from '../../domain/decision/effective-access.ts';
import { RolecallError } from '../../domain/errors.ts';
import type { PermissionSlug, Scope, UserId } from '../../domain/ids.ts';
import type { BuiltinPermission } from '../../domain/matrix/builtin.ts';
import { isLimited, isSelf, type Principal, usersBehind } from '../../domain/principals.ts';
import { covers } from '../../domain/scopes.ts';
import { commonSight, type Sight } from '../../domain/sight.ts';
import { actFor, requirePermissionOf, requireSight, sightOf, slugFor } from '../caller-rights.ts';
import type { CachedUser } from './cached-user.ts';
import { accessOn, limitedDecision, listThrough, scopesThrough, standingOn } from './credential-reach.ts';
import type { DecisionCounts } from './decision-counts.ts';
import type { PermissionLists, UserPermissions } from './permission-lists.ts';
import type { Asking, FreshnessMode, View, Views } from './views.ts';

export type { Asking, UserPermissions };

export interface Question {
  /** Null asks what the caller may do with this credential. */
  readonly user: UserId | null;
  readonly permission: PermissionSlug;
  readonly scope: Scope;
}

/** Who is asked about, or with null the caller, and where. */
export type About = Pick<Question, 'user' | 'scope'>;

export interface Answer {
  readonly permission: PermissionSlug;
  readonly decision: Decision;
}

export interface UserScopes {
  readonly user: UserId;
  readonly permission: PermissionSlug | null;
  readonly scopes: readonly Scope[];
  readonly denied: readonly Scope[];
  readonly revision: string;
}

/** What a caller needs to ask about others; the routes state it, the answer is only given to who holds it. */
export const aboutOthers = {
  ask: 'rolecall_check',
  see: 'rolecall_read_users',
} as const satisfies Record<string, BuiltinPermission>;

/**
 * The one door to a decision. Each answer is computed on one view, as current as was asked for. Asking about oneself needs
 * no permission; about others, the caller must hold the asking permission in the same scope and on the same view. What is
 * asked about a user is answered for the user; what is asked about the caller, for the user through this credential.
 */
export interface AccessCheck {
  authorize(asking: Asking, question: Question): Promise<{ answer: Answer; revision: string }>;
  /** All from one view, in the order of the questions. Throws `invalid_input` if they are more than the setting allows. */
  authorizeAll(
    asking: Asking,
    questions: readonly Question[],
  ): Promise<{ answers: readonly Answer[]; revision: string }>;
  /** Throws `unknown_user`. The same object is answered as long as nothing in it changes; null is the caller. */
  permissionsOf(
    asking: Asking,
    user: UserId | null,
    scope: Scope,
  ): Promise<{ permissions: UserPermissions; revision: string }>;
  /**
   * Where the user holds the permission, or with null anything: of that, what lies where the caller may see users, and
   * of oneself all. Throws `unknown_user`; null is the caller.
   */
  scopesOf(asking: Asking, user: UserId | null, permission: PermissionSlug | null): Promise<UserScopes>;
  /** Throws `unauthenticated` unless the caller's credential still stands. */
  requireValid(asking: Asking): Promise<void>;
  /**
   * Throws `forbidden` unless the caller may ask about each of these users in that scope, which about others needs the
   * permission, and `invalid_input` if they are more than the setting for batches allows. On one view.
   */
  requireAsking(asking: Asking, permission: BuiltinPermission, about: readonly About[]): Promise<void>;
  /**
   * The caller as somebody who acts for a user, with what both of them may do. Throws `forbidden` unless the caller has
   * `rolecall_act_for` somewhere, and for nobody who is not an active user.
   */
  actFor(asking: Asking, user: UserId): Promise<Principal>;
  /**
   * Throws `forbidden` unless the caller may use a route that needs this permission in this scope, or with null in any.
   * Resolves to where the caller has it.
   */
  requireOf(asking: Asking, permission: BuiltinPermission, scope: Scope | null): Promise<Sight>;
  /** Where the caller has the permission, if anywhere. */
  sightOf(asking: Asking, permission: BuiltinPermission): Promise<Sight>;
}

export interface AccessCheckSources {
  readonly views: Views;
  readonly lists: PermissionLists;
  readonly counts: DecisionCounts;
  /** Told how many questions came at once. */
  noteBatch(questions: number): void;
  readonly usualMode: FreshnessMode;
}

export function openAccessCheck({
  views,
  lists,
  counts,
  noteBatch,
  usualMode,
}: AccessCheckSources): AccessCheck {
  function decideOn(view: View, { caller, freshness = usualMode }: Asking, question: Question): Answer {
    const { user, permission, scope } = question;
    let decision = decide(view.snapshot.catalogue, accessOn(view, user ?? caller.userId), permission, scope);
    if (user === null && isLimited(caller))
      decision = limitedDecision(decision, standingOn(view), caller, permission, scope);
    counts.add(freshness, decision);
    return { permission, decision };
  }

  return {
    authorize(asking, question) {
      const { caller } = asking;
      const { user, scope } = question;
      return views.of(asking, concerned(caller, user), (view) => {
        requireAskingOn(view, caller, user, aboutOthers.ask, scope);
        return { answer: decideOn(view, asking, question), revision: view.snapshot.revisionText };
      });
    },

    authorizeAll(asking, questions) {
      noteBatch(questions.length);
      const { caller } = asking;
      const users = new Set(usersBehind(caller));
      for (const { user } of questions) if (user !== null) users.add(user);
      return views.of(asking, [...users], (view) => {
        refuseTooMany(questions.length, 'authorize_batch_limit', view.snapshot.settings);
        const foreign = questions.filter(({ user }) => isForeign(caller, user));
        for (const scope of new Set(foreign.map((question) => question.scope)))
          requireOn(view, caller, aboutOthers.ask, scope);
        if (isLimited(caller))
          for (const { user, scope } of questions)
            requireAskingOn(view, caller, user, aboutOthers.ask, scope);
        const answers = questions.map((question) => decideOn(view, asking, question));
        return { answers, revision: view.snapshot.revisionText };
      });
    },

    permissionsOf(asking, user, scope) {
      const { caller } = asking;
      return views.of(asking, concerned(caller, user), (view) => {
        requireAskingOn(view, caller, user, aboutOthers.see, scope);
        const found = userOn(view, user ?? caller.userId);
        const isThrough = user === null && isLimited(caller);
        const permissions = isThrough
          ? listThrough(view, lists, caller, scope)
          : lists.of(found, found.at(view.snapshot.catalogue, view.now), scope);
        return { permissions, revision: view.snapshot.revisionText };
      });
    },

    scopesOf(asking, user, permission) {
      const { caller } = asking;
      return views.of(asking, concerned(caller, user), (view) => {
        const sight = isForeign(caller, user)
          ? sightOn(view, caller, aboutOthers.see)
          : { scopes: [caller.within], denied: [] };
        const found = userOn(view, user ?? caller.userId);
        const isThrough = user === null && isLimited(caller);
        const held = isThrough
          ? scopesThrough(view, lists, caller, permission)
          : commonSight(scopesOf(found.at(view.snapshot.catalogue, view.now), permission), sight);
        return { user: found.id, permission, ...held, revision: view.snapshot.revisionText };
      });
    },

    actFor(asking, user) {
      const { caller } = asking;
      return views.of(asking, concerned(caller, user), (view) => {
        sightOn(view, caller, actFor);
        const found = view.users.get(user);
        if (!found?.access.active)
          throw new RolecallError('forbidden', 'Rolecall-Act-For names nobody who is an active user');
        const through = { userId: caller.userId, userPk: caller.userPk };
        return { ...caller, userId: found.id, userPk: found.userPk, through };
      });
    },

    requireValid: (asking) => views.of(asking, usersBehind(asking.caller), () => {}),

    requireAsking: (asking, permission, about) =>
      views.of(asking, usersBehind(asking.caller), (view) => {
        refuseTooMany(about.length, 'authorize_batch_limit', view.snapshot.settings);
        for (const { user, scope } of about) requireAskingOn(view, asking.caller, user, permission, scope);
      }),

    requireOf: (asking, permission, scope) =>
      views.of(asking, usersBehind(asking.caller), (view) => {
        if (scope !== null) requireOn(view, asking.caller, permission, scope);
        return sightOn(view, asking.caller, permission);
      }),

    sightOf: (asking, permission) =>
      views.of(asking, usersBehind(asking.caller), (view) =>
        sightOf((user) => accessOn(view, user), asking.caller, slugFor(permission)),
      ),
  };
}

/** Whom a view must know so that the caller can be told about a user. */
function concerned(caller: Principal, user: UserId | null): readonly UserId[] {
  const callers = usersBehind(caller);
  return user === null || callers.includes(user) ? callers : [...callers, user];
}

/** Throws `unknown_user`. */
function userOn(view: View, user: UserId): CachedUser {
  const found = view.users.get(user);
  if (!found) throw new RolecallError('unknown_user', 'there is no user with this id');
  return found;
}

/** Throws `forbidden` unless the caller may ask about a user, or with null about themselves, in a scope. */
function requireAskingOn(
  view: View,
  caller: Principal,
  user: UserId | null,
  permission: BuiltinPermission,
  scope: Scope,
): void {
  if (isForeign(caller, user)) requireOn(view, caller, permission, scope);
  else requireWithin(caller, scope);
}

/** Whether a question is about somebody whom the caller may not ask about as about themselves. */
export function isForeign(caller: Principal, user: UserId | null): user is UserId {
  return user !== null && !isSelf(caller, user);
}

/** Throws `forbidden` where the caller's credential does not work. */
function requireWithin({ within }: Principal, scope: Scope): void {
  if (!covers(within, scope))
    throw new RolecallError('forbidden', `this credential only works in ${within} and below`);
}

function requireOn(view: View, caller: Principal, permission: BuiltinPermission, scope: Scope): void {
  requirePermissionOf(view.snapshot.catalogue, (user) => accessOn(view, user), caller, permission, scope);
}

function sightOn(view: View, caller: Principal, permission: BuiltinPermission): Sight {
  return requireSight((user) => accessOn(view, user), caller, permission);
}
