import { setTimeout as pause } from 'node:timers/promises';
import type { UserAccess } from '../../domain/decision/user-access.ts';
import { nameOfIdentity } from '../../domain/identities.ts';
import type { UserId } from '../../domain/ids.ts';
import type { Principal } from '../../domain/principals.ts';
import type { Revision } from '../../domain/revisions.ts';
import { everywhere } from '../../domain/scopes.ts';
import type { Sample } from '../../observability/metrics.ts';
import { deadlineIn } from '../../storage/deadline.ts';
import { Gate } from '../../storage/gate.ts';
import type { CredentialRow, IdentityRow, UserRows } from '../../storage/read-models/user-rows.ts';
import { endOfTurn } from '../turns.ts';
import { CachedUser } from './cached-user.ts';
import type { Follower, Mirror } from './mirror.ts';
import { OwnedCache } from './owned-cache.ts';

/** A key, or an identity linked to a user, that exists as of the cache's revision. */
export interface Credential {
  readonly userPk: number;
  readonly principal: Principal;
  /** Of a key. */
  readonly secretHash: Buffer | undefined;
  readonly revoked: boolean;
}

/** What a fill found, and when. It is so until the mirror says otherwise, though memory may have no room to keep it. */
export interface Filled {
  readonly revision: Revision;
  /** Of those who were asked for; undefined who does not exist. */
  readonly users: ReadonlyMap<UserId, CachedUser | undefined>;
  readonly absentCredentials: ReadonlySet<string>;
}

/** Reads users and credentials as of `atLeast` or later; as of whenever, with null. */
export type LoadUsers = (
  ids: readonly UserId[],
  credentialIds: readonly string[],
  atLeast: Revision | null,
) => Promise<UserRows>;

/** What is missed while the next fill may not begin yet. */
interface Gathering {
  readonly ids: Set<UserId>;
  readonly credentialIds: Set<string>;
  readonly filled: Promise<Filled>;
}

/** Estimated bytes in memory, measured with 100,000 users of one to three grants. */
const weights = { user: 700, held: 260, credential: 1_000 };

/** Several, so that one slow answer does not hold up all; few, so that those who wait gather into one query. */
const mostFills = 4;

const releasedAtOnce = 10_000;

const lookAgainMs = 50;

/**
 * Users and credentials that were asked about, each as of the mirror's revision: whoever the journal names is forgotten before
 * the mirror moves, and what was read before that is never kept after it. Who does not exist is not kept, so invented
 * names fill no memory. Misses that come together are filled by one query.
 */
export class UserCache implements Follower {
  readonly #users: OwnedCache<UserId, CachedUser>;
  readonly #credentials: OwnedCache<string, Credential>;
  readonly #mirror: Mirror;
  readonly #load: LoadUsers;
  #gathering: Gathering | undefined;
  #hits = 0;
  #misses = 0;
  readonly #timeoutMs: number;
  readonly #fills = new Gate(mostFills, 1);

  constructor(mirror: Mirror, load: LoadUsers, options: { bytes: number; timeoutMs: number }) {
    const { bytes, timeoutMs } = options;
    this.#mirror = mirror;
    mirror.follow(this);
    this.#load = load;
    this.#timeoutMs = timeoutMs;
    this.#users = new OwnedCache(bytes, ({ access }) => this.#weightOf(access));
    this.#credentials = new OwnedCache(bytes / 8, () => weights.credential);
  }

  user(id: UserId): CachedUser | undefined {
    const user = this.#users.get(id);
    if (user) this.#hits += 1;
    else this.#misses += 1;
    return user;
  }

  lookups(): readonly Sample[] {
    return [
      [{ result: 'hit' }, this.#hits],
      [{ result: 'miss' }, this.#misses],
    ];
  }

  credential(id: string): Credential | undefined {
    return this.#credentials.get(id);
  }

  get size(): number {
    return this.#users.size;
  }

  forget(userPk: number): void {
    this.#users.dropOf(userPk);
    this.#credentials.dropOf(userPk);
  }

  forgetEverything(): void {
    this.#users.clear();
    this.#credentials.clear();
  }

  catalogueReplaced(): void {
    void this.#release();
  }

  /** Some in each turn of the event loop: there may be very many. */
  async #release(): Promise<void> {
    let released = 0;
    for (const user of this.#users.values()) {
      const present = this.#mirror.snapshot?.catalogue;
      if (present) user.release(present);
      released += 1;
      if (released % releasedAtOnce === 0) await endOfTurn();
    }
  }

  /**
   * Reads what is missing and keeps what still stands when it arrives. Whoever asked looks again, and asks again for what
   * was changed meanwhile.
   */
  fill(ids: Iterable<UserId>, credentialIds: Iterable<string>): Promise<Filled> {
    this.#gathering ??= this.#gather();
    for (const id of ids) this.#gathering.ids.add(id);
    for (const id of credentialIds) this.#gathering.credentialIds.add(id);
    return this.#gathering.filled;
  }

  #gather(): Gathering {
    const ids = new Set<UserId>();
    const credentialIds = new Set<string>();
    const read = async () => {
      const leave = await this.#whenItMayBegin();
      try {
        return await this.#read(ids, credentialIds);
      } finally {
        leave();
      }
    };
    return { ids, credentialIds, filled: read() };
  }

  async #whenItMayBegin(): Promise<() => void> {
    try {
      await endOfTurn();
      return await this.#fills.enter(deadlineIn(this.#timeoutMs));
    } finally {
      this.#gathering = undefined;
    }
  }

  /** Where several things hold at one scope, they are compiled to sets of their own: at most two for each. */
  #weightOf({ grants, exceptions }: UserAccess): number {
    const permissions = this.#mirror.snapshot?.catalogue.size ?? 0;
    return weights.user + (weights.held + permissions / 4) * (grants.length + exceptions.length);
  }

  async #read(ids: ReadonlySet<UserId>, credentialIds: ReadonlySet<string>): Promise<Filled> {
    const { revision, users, credentials, identities } = await this.#load(
      [...ids],
      [...credentialIds],
      this.#mirror.snapshot?.revision ?? null,
    );
    await this.#mirror.reach(revision);
    // Nothing of it is kept, and whoever asked asks again: not as fast as a server that was left behind answers.
    if (this.#mirror.hasLeft(revision.epoch)) await pause(lookAgainMs);
    const found = new Map<UserId, CachedUser | undefined>([...ids].map((id) => [id, undefined]));
    for (const row of users) {
      const user = new CachedUser(row);
      found.set(row.id, user);
      if (!this.#mirror.changedSince(revision, row.pk)) this.#users.set(row.id, user);
    }
    const present = [...credentials.map(keyOf), ...identities.map(linkOf)];
    for (const credential of present)
      if (!this.#mirror.changedSince(revision, credential.userPk))
        this.#credentials.set(credential.principal.credentialId, credential);
    const presentIds = new Set(present.map(({ principal }) => principal.credentialId));
    return {
      revision,
      users: found,
      absentCredentials: new Set([...credentialIds].filter((id) => !presentIds.has(id))),
    };
  }
}

function keyOf(row: CredentialRow): Credential {
  const { keyId, pk, userPk, user, secretHash, narrowedTo, within, expiresAt, revoked } = row;
  const principal: Principal = {
    kind: 'user',
    userId: user,
    userPk,
    credentialId: keyId,
    credentialPk: pk,
    narrowedTo: narrowedTo && new Set(narrowedTo),
    within,
    expiresAt,
    through: null,
  };
  return { userPk, principal, secretHash, revoked };
}

/** The token that proves an identity brings its own end. */
function linkOf({ pk, userPk, user, ...identity }: IdentityRow): Credential {
  const principal: Principal = {
    kind: 'user',
    userId: user,
    userPk,
    credentialId: nameOfIdentity(identity),
    credentialPk: -pk,
    narrowedTo: null,
    within: everywhere,
    expiresAt: null,
    through: null,
  };
  return { userPk, principal, secretHash: undefined, revoked: false };
}
