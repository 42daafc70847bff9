import { type Decision, decide } from '../../domain/decision/decide.ts';
import { effectiveAccess, scopesOf } from '../../domain/decision/effective-access.ts';
import { nextChange } from '../../domain/decision/next-change.ts';
import { RolecallError } from '../../domain/errors.ts';
import type { Instant, PermissionSlug, RoleKey, Scope, UserId } from '../../domain/ids.ts';
import type { BuiltinPermission } from '../../domain/matrix/builtin.ts';
import type { Principal } from '../../domain/principals.ts';
import { formatRevision, placeRevision, type Revision } from '../../domain/revisions.ts';
import { everywhere } from '../../domain/scopes.ts';
import type { Database } from '../../storage/database.ts';
import type { Deadline } from '../../storage/deadline.ts';
import { type Facts, type FactsWanted, loadFacts } from '../../storage/read-models/decision-rows.ts';
import { requirePermissionOf } from '../guard.ts';

/** Who asks and what the answer must not be older than. */
export interface Asking {
  readonly caller: Principal;
  readonly deadline: Deadline;
  readonly atLeast: Revision | null;
}

export interface Question {
  readonly user: UserId;
  readonly permission: PermissionSlug;
  readonly scope: Scope;
}

export interface Answer {
  readonly permission: PermissionSlug;
  readonly decision: Decision;
}

export interface UserPermissions {
  readonly user: UserId;
  readonly scope: Scope;
  readonly permissions: readonly PermissionSlug[];
  readonly roles: readonly RoleKey[];
  readonly revision: string;
  /** When this answer changes by itself. */
  readonly expiresAt: Instant | null;
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
 * The one door to a decision. Each answer reflects every change committed before it was asked, because the rows are
 * read for it, with their revision, in one statement. Asking about oneself needs no permission; about others, the
 * caller must hold the asking permission in the same scope and on the same snapshot.
 */
export interface AccessCheck {
  authorize(asking: Asking, question: Question): Promise<{ answer: Answer; revision: string }>;
  /** All from one snapshot, in the order of the questions. */
  authorizeAll(
    asking: Asking,
    questions: readonly Question[],
  ): Promise<{ answers: readonly Answer[]; revision: string }>;
  /** Throws `unknown_user`. */
  permissionsOf(asking: Asking, user: UserId, scope: Scope): Promise<UserPermissions>;
  /** Where the user holds the permission, or with null anything. Throws `unknown_user`. */
  scopesOf(asking: Asking, user: UserId, permission: PermissionSlug | null): Promise<UserScopes>;
  /** Throws `forbidden` unless the caller may use a route that needs this permission in this scope. */
  requireOf(asking: Asking, permission: BuiltinPermission, scope: Scope): Promise<void>;
}

export function openAccessCheck(database: Database): AccessCheck {
  async function factsFor(asking: Asking, wanted: FactsWanted): Promise<Facts> {
    const facts = await database.run(asking.deadline, (sql) => loadFacts(sql, wanted));
    if (asking.atLeast !== null) requireReached(asking.atLeast, facts);
    return facts;
  }

  async function authorizeAll(asking: Asking, questions: readonly Question[]) {
    const { caller } = asking;
    const facts = await factsFor(asking, {
      users: distinct([caller.userId, ...questions.map((question) => question.user)]),
      permissions: distinct([slug(aboutOthers.ask), ...questions.map((question) => question.permission)]),
    });
    const foreign = questions.filter((question) => question.user !== caller.userId);
    for (const scope of distinct(foreign.map((question) => question.scope)))
      requirePermissionOf(facts, caller, aboutOthers.ask, scope);
    const answers = questions.map(({ user, permission, scope }) => ({
      permission,
      decision: decide(facts.catalogue, facts.users.get(user), permission, scope, facts.now),
    }));
    return { answers, revision: formatRevision(facts.head) };
  }

  async function aboutUser(asking: Asking, user: UserId, scope: Scope) {
    const { caller } = asking;
    const facts = await factsFor(asking, { users: distinct([caller.userId, user]), permissions: null });
    if (user !== caller.userId) requirePermissionOf(facts, caller, aboutOthers.see, scope);
    const access = facts.users.get(user);
    if (!access) throw new RolecallError('unknown_user', 'there is no user with this id');
    return { facts, access };
  }

  return {
    authorizeAll,

    async authorize(asking, question) {
      const { answers, revision } = await authorizeAll(asking, [question]);
      return { answer: answers[0] as Answer, revision };
    },

    async permissionsOf(asking, user, scope) {
      const { facts, access } = await aboutUser(asking, user, scope);
      const { catalogue, now, head } = facts;
      return {
        user,
        scope,
        ...effectiveAccess(catalogue, access, scope, now),
        revision: formatRevision(head),
        expiresAt: nextChange(catalogue, access, scope, now),
      };
    },

    async scopesOf(asking, user, permission) {
      const { facts, access } = await aboutUser(asking, user, everywhere);
      const found = scopesOf(facts.catalogue, access, permission, facts.now);
      return { user, permission, ...found, revision: formatRevision(facts.head) };
    },

    async requireOf(asking, permission, scope) {
      const wanted = { users: [asking.caller.userId], permissions: [slug(permission)] };
      requirePermissionOf(await factsFor(asking, wanted), asking.caller, permission, scope);
    },
  };
}

function requireReached(asked: Revision, { head, epochs }: Facts): void {
  const place = placeRevision(asked, head, epochs);
  if (place === 'foreign')
    throw new RolecallError('invalid_revision', '`atLeast` is no revision of this database');
  if (place === 'lost')
    throw new RolecallError(
      'lost_history',
      'this database does not have that revision: history was lost in a restore or failover',
    );
}

function slug(permission: BuiltinPermission): PermissionSlug {
  return permission as string as PermissionSlug;
}

function distinct<T>(items: readonly T[]): readonly T[] {
  return [...new Set(items)];
}
