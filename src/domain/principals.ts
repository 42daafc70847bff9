import type { Instant, PermissionSlug, Scope, UserId } from './ids.ts';
import type { Actor } from './journal-entries.ts';
import { everywhere } from './scopes.ts';

/** A user as whom somebody acts by a verified credential. */
export interface Principal {
  readonly kind: 'user';
  readonly userId: UserId;
  readonly userPk: number;
  /** Names the credential: the id of an API key as its owner sees it, or the identity that a token proves. */
  readonly credentialId: string;
  /** The internal key of the API key, or, below zero, that of the identity. */
  readonly credentialPk: number;
  /** The permissions that the credential is narrowed to, or null for all that the user has. */
  readonly narrowedTo: ReadonlySet<PermissionSlug> | null;
  /** Where the credential works: there and below. */
  readonly within: Scope;
  /** When the credential ends by itself, or null. */
  readonly expiresAt: Instant | null;
  /** Whose credential it is, where its owner acts for the user; null where the user acts. Nothing is allowed that one of both may not do. */
  readonly through: { readonly userId: UserId; readonly userPk: number } | null;
}

/** Whoever runs the command line on the database: recorded, not guarded. */
export interface Operator {
  readonly kind: 'operator';
}

export type Caller = Principal | Operator;

/** How the journal names a caller. */
export function actorOf(caller: Caller): Actor {
  return caller.kind === 'operator'
    ? { kind: 'operator' }
    : {
        kind: 'user',
        userPk: caller.userPk,
        credentialPk: caller.credentialPk,
        throughPk: caller.through?.userPk ?? null,
      };
}

/** Whether the caller may ask about this user as about themselves, which needs no permission. */
export function isSelf({ userId, through }: Principal, user: UserId): boolean {
  return user === userId && through === null;
}

/** Whether the credential leaves less than all that its user has. */
export function isLimited({ narrowedTo, within, through }: Principal): boolean {
  return narrowedTo !== null || within !== everywhere || through !== null;
}

/** Who must hold whatever a caller may do: the user, and whoever acts for them. */
export function usersBehind({ userId, through }: Principal): readonly UserId[] {
  return through === null ? [userId] : [userId, through.userId];
}

/** Whether the caller came with a token of an identity provider, and not with an API key. */
export function isToken({ credentialPk }: Principal): boolean {
  return credentialPk < 0;
}
