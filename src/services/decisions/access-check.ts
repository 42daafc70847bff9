import { type Decision, decide } from '../../domain/decision/decide.ts';
import { scopesOf } from '../../domain/decision/effective-access.ts';
import type { CompiledAccess } from '../../domain/decision/user-access.ts';
import { RolecallError } from '../../domain/errors.ts';
import type { PermissionSlug, Scope, UserId } from '../../domain/ids.ts';
import type { BuiltinPermission } from '../../domain/matrix/builtin.ts';
import type { Principal } from '../../domain/principals.ts';
import { formatRevision } from '../../domain/revisions.ts';
import { commonSight, type Sight, seesEverything } from '../../domain/sight.ts';
import { requirePermissionOf, requireSight, sightFor } from '../guard.ts';
import type { DecisionCounts } from './decision-counts.ts';
import type { PermissionLists, UserPermissions } from './permission-lists.ts';
import type { Asking, FreshnessMode, View, Views } from './views.ts';

export type { Asking, UserPermissions };

export interface Question {
  readonly user: UserId;
  readonly permission: PermissionSlug;
  readonly scope: Scope;
}

export interface Answer {
  readonly permission: PermissionSlug;
  readonly decision: Decision;
}

export interface Authorized {
  readonly answer: Answer;
  readonly revision: string;
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
 * no permission; about others, the caller must hold the asking permission in the same scope and on the same view.
 */
export interface AccessCheck {
  authorize(asking: Asking, question: Question): Authorized | Promise<Authorized>;
  /** All from one view, in the order of the questions. Throws `invalid_input` if they are more than the setting allows. */
  authorizeAll(
    asking: Asking,
    questions: readonly Question[],
  ): Promise<{ answers: readonly Answer[]; revision: string }>;
  /** Throws `unknown_user`. The same object is answered as long as nothing in it changes. */
  permissionsOf(
    asking: Asking,
    user: UserId,
    scope: Scope,
  ): Promise<{ permissions: UserPermissions; revision: string }>;
  /**
   * Where the user holds the permission, or with null anything: of that, what lies where the caller may see users, and
   * of oneself all. Throws `unknown_user`.
   */
  scopesOf(asking: Asking, user: UserId, permission: PermissionSlug | null): Promise<UserScopes>;
  /** Throws `unauthenticated` unless the caller's credential still stands. */
  requireValid(asking: Asking): Promise<void>;
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
  function decideOn(view: View, { freshness = usualMode }: Asking, question: Question): Answer {
    const { user, permission, scope } = question;
    const decision = decide(view.snapshot.catalogue, accessOn(view, user), permission, scope);
    counts.add(freshness, decision);
    return { permission, decision };
  }

  async function aboutUser(asking: Asking, user: UserId, admit: (view: View, caller: Principal) => unknown) {
    const { caller } = asking;
    const view = await views.of(asking, user === caller.userId ? [user] : [caller.userId, user]);
    if (user !== caller.userId) admit(view, caller);
    const found = view.users.get(user);
    if (!found) throw new RolecallError('unknown_user', 'there is no user with this id');
    return { view, found, revision: formatRevision(view.snapshot.revision) };
  }

  return {
    authorize(asking, question) {
      const { caller } = asking;
      const { user, scope } = question;
      const isOwn = user === caller.userId;
      const answerOn = (view: View) => {
        if (!isOwn) requireOn(view, caller, aboutOthers.ask, scope);
        const answer = decideOn(view, asking, question);
        return { answer, revision: formatRevision(view.snapshot.revision) };
      };
      const view = views.of(asking, isOwn ? [user] : [caller.userId, user]);
      return view instanceof Promise ? view.then(answerOn) : answerOn(view);
    },

    async authorizeAll(asking, questions) {
      noteBatch(questions.length);
      const { caller } = asking;
      const users = new Set(questions.map((question) => question.user));
      const view = await views.of(asking, [...users.add(caller.userId)]);
      refuseTooMany(questions.length, view.snapshot.settings.authorize_batch_limit);
      const foreign = questions.filter((question) => question.user !== caller.userId);
      for (const scope of new Set(foreign.map((question) => question.scope)))
        requireOn(view, caller, aboutOthers.ask, scope);
      const answers = questions.map((question) => decideOn(view, asking, question));
      return { answers, revision: formatRevision(view.snapshot.revision) };
    },

    async permissionsOf(asking, user, scope) {
      const { view, found, revision } = await aboutUser(asking, user, (seen, caller) =>
        requireOn(seen, caller, aboutOthers.see, scope),
      );
      const access = found.at(view.snapshot.catalogue, view.now);
      return { permissions: lists.of(found, access, scope), revision };
    },

    async scopesOf(asking, user, permission) {
      let sight = seesEverything;
      const { view, found, revision } = await aboutUser(asking, user, (seen, caller) => {
        sight = sightOn(seen, caller, aboutOthers.see);
      });
      const access = found.at(view.snapshot.catalogue, view.now);
      return { user, permission, ...commonSight(scopesOf(access, permission), sight), revision };
    },

    async requireValid(asking) {
      await views.of(asking, [asking.caller.userId]);
    },

    async requireOf(asking, permission, scope) {
      const view = await views.of(asking, [asking.caller.userId]);
      if (scope !== null) requireOn(view, asking.caller, permission, scope);
      return sightOn(view, asking.caller, permission);
    },

    async sightOf(asking, permission) {
      const view = await views.of(asking, [asking.caller.userId]);
      return sightFor(accessOn(view, asking.caller.userId), asking.caller, permission);
    },
  };
}

function refuseTooMany(questions: number, limit: number): void {
  if (questions <= limit) return;
  const detail = `this installation takes at most ${limit} questions at once, by its setting authorize_batch_limit`;
  throw new RolecallError('invalid_input', detail, {
    errors: [{ pointer: '/checks', code: 'too_big', detail }],
  });
}

function requireOn(view: View, caller: Principal, permission: BuiltinPermission, scope: Scope): void {
  requirePermissionOf(view.snapshot.catalogue, accessOn(view, caller.userId), caller, permission, scope);
}

function sightOn(view: View, caller: Principal, permission: BuiltinPermission): Sight {
  return requireSight(accessOn(view, caller.userId), caller, permission);
}

function accessOn({ snapshot, now, users }: View, user: UserId): CompiledAccess | undefined {
  return users.get(user)?.at(snapshot.catalogue, now);
}
