import { RolecallError } from '../../domain/errors.ts';
import type { Instant, UserId } from '../../domain/ids.ts';
import type { Principal } from '../../domain/principals.ts';
import { placeRevision, type Revision } from '../../domain/revisions.ts';
import { type Deadline, unavailable, within } from '../../storage/deadline.ts';
import { notValid } from '../refusals.ts';
import type { CachedUser } from './cached-user.ts';
import type { Freshness } from './freshness.ts';
import type { Mirror, Snapshot } from './mirror.ts';
import type { Mark } from './shared-read.ts';
import type { Filled, UserCache } from './user-cache.ts';

/** `latest` knows everything committed before the question came; `lease` may be older by as much as the lease. */
export type FreshnessMode = 'latest' | 'lease';

/** Who asks, until when, and how current the answer must be. */
export interface Asking {
  readonly caller: Principal;
  readonly deadline: Deadline;
  readonly atLeast: Revision | null;
  /** Of when the question had come; left out, it comes with the call. */
  readonly since?: Mark | undefined;
  /** As this process was configured, if left out. */
  readonly freshness?: FreshnessMode | undefined;
}

/** Everything that one answer is computed from: one revision, one instant. */
export interface View {
  readonly snapshot: Snapshot;
  readonly now: Instant;
  /** Those who were asked about; who is not in it does not exist. */
  readonly users: ReadonlyMap<UserId, CachedUser>;
}

export interface Views {
  /**
   * What `answer` makes of a view of some users, each named once, with the caller's credential found to stand on it. It is
   * called in the turn that has the view: every promise between the two would cost each question more than its decision.
   * Throws `unauthenticated`, `invalid_revision`, `lost_history`, or `unavailable` when it cannot be known in time.
   */
  of<T>(asking: Asking, users: readonly UserId[], answer: (view: View) => T): Promise<T>;
}

export interface ViewSources {
  readonly mirror: Mirror;
  readonly cache: UserCache;
  readonly freshness: Freshness;
  readonly usualMode: FreshnessMode;
}

export function openViews({ mirror, cache, freshness, usualMode }: ViewSources): Views {
  function isCurrentEnough({ freshness: mode = usualMode, atLeast }: Asking): boolean {
    if (mode !== 'lease' || !freshness.isWithinLease()) return false;
    const { snapshot } = mirror;
    return snapshot !== undefined && (atLeast === null || hasReached(snapshot, atLeast));
  }

  /** The view as memory and what was read for it have it, or what is missing in it. */
  function look({ caller }: Asking, ids: readonly UserId[], fills: readonly Filled[]): View | Missing {
    const { snapshot } = mirror;
    const users = new Map<UserId, CachedUser>();
    const missing: UserId[] = [];
    for (const id of ids) {
      const user = cache.user(id);
      const filled = user ? undefined : fills.find((one) => stillStands(one, id));
      const found = user ?? filled?.users.get(id);
      if (found) users.set(id, found);
      else if (!filled) missing.push(id);
    }
    const credential = cache.credential(caller.credentialId);
    if (!credential && fills.some((one) => one.absentCredentials.has(caller.credentialId)))
      throw notValid(caller);
    if (!snapshot || !credential || missing.length > 0)
      return { missing, missingCredentials: credential ? [] : [caller.credentialId] };
    const now = freshness.now();
    // Since the caller was let in, the identity may have been moved, and the id of a deleted user given to another.
    const stands = ({ userId, userPk }: Pick<Principal, 'userId' | 'userPk'>) => {
      const found = users.get(userId);
      return found?.userPk === userPk && found.access.active;
    };
    const isSame = credential.principal.credentialPk === caller.credentialPk;
    const isActive = stands(caller) && (caller.through === null || stands(caller.through));
    // What the caller was let in by may have been told to end sooner since.
    const isOver = hasEnded(caller, now) || hasEnded(credential.principal, now);
    if (!isSame || !isActive || isOver || credential.revoked) throw notValid(caller);
    return { snapshot, now, users };
  }

  /** Whether a fill says something of a user that is still so. */
  function stillStands({ revision, users }: Filled, id: UserId): boolean {
    return users.has(id) && !mirror.changedSince(revision, users.get(id)?.userPk ?? null);
  }

  async function answerOn<T>(
    asking: Asking,
    users: readonly UserId[],
    answer: (view: View) => T,
  ): Promise<T> {
    if (isCurrentEnough(asking)) freshness.renewLease();
    else {
      await freshness.latest(asking.since);
      if (asking.atLeast !== null) requireReached(mirror, asking.atLeast);
    }
    const fills: Filled[] = [];
    for (;;) {
      const seen = look(asking, users, fills);
      if ('snapshot' in seen) return answer(seen);
      const filled = cache.fill(seen.missing, seen.missingCredentials);
      fills.push(
        await within(asking.deadline, filled, () => unavailable('the database did not answer in time')),
      );
    }
  }

  return { of: answerOn };
}

function hasEnded({ expiresAt }: Principal, now: Instant): boolean {
  return expiresAt !== null && expiresAt <= now;
}

interface Missing {
  readonly missing: readonly UserId[];
  readonly missingCredentials: readonly string[];
}

function hasReached({ revision, epochs }: Snapshot, asked: Revision): boolean {
  return placeRevision(asked, revision, epochs) === 'reached';
}

/** Asked after the mirror had everything: what it has not reached by then is nowhere. */
function requireReached({ snapshot }: Mirror, asked: Revision): void {
  if (!snapshot) throw unavailable('nothing was read yet');
  const place = placeRevision(asked, snapshot.revision, snapshot.epochs);
  if (place === 'foreign')
    throw new RolecallError('invalid_revision', '`atLeast` is no revision of this database');
  if (place === 'lost')
    throw new RolecallError(
      'lost_history',
      'this database does not have that revision: history was lost in a restore or failover',
    );
}
