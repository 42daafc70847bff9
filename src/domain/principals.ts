import type { Instant, PermissionSlug, UserId } from './ids.ts';
import type { Actor } from './journal-entries.ts';

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
  /** When the credential ends by itself, or null. */
  readonly expiresAt: Instant | null;
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
    : { kind: 'user', userPk: caller.userPk, credentialPk: caller.credentialPk };
}

/** Whether the caller came with a token of an identity provider, and not with an API key. */
export function isToken({ credentialPk }: Principal): boolean {
  return credentialPk < 0;
}
