import type { Instant, PermissionSlug, RoleKey, Scope } from './ids.ts';

/** When something holds: from `startsAt` (included) to `expiresAt` (not included), each only if set. */
export interface Window {
  readonly startsAt: Instant | null;
  readonly expiresAt: Instant | null;
}

export interface Grant extends Window {
  readonly role: RoleKey;
  readonly scope: Scope;
}

export type Effect = 'allow' | 'deny';

/** A permission given to or withheld from one user directly. */
export interface Exception extends Window {
  readonly permission: PermissionSlug;
  readonly scope: Scope;
  readonly effect: Effect;
}

export function inForce(window: Window, at: Instant): boolean {
  return startOf(window) <= at && at < endOf(window);
}

export function startOf(window: Window): Instant {
  return window.startsAt ?? Number.NEGATIVE_INFINITY;
}

export function endOf(window: Window): Instant {
  return window.expiresAt ?? Number.POSITIVE_INFINITY;
}

/** A window that somebody gave, with the words they gave for it. */
export interface Terms extends Window {
  readonly reason: string | null;
}

export function sameTerms(a: Terms, b: Terms): boolean {
  return a.startsAt === b.startsAt && a.expiresAt === b.expiresAt && a.reason === b.reason;
}

/** The reason as the record keeps it: among what can be erased. */
export function reasonOf({ reason }: Terms): Record<string, string> {
  return reason === null ? {} : { reason };
}

/** What is held, with one grant or exception taken out, if there is one, and another put in. */
export function exchanged<Held extends Grant | Exception>(
  held: readonly Held[],
  taken: Held | null,
  put: Held | null,
): readonly Held[] {
  const place = taken === null ? -1 : held.findIndex((one) => isSame(one, taken));
  const others = held.filter((_one, index) => index !== place);
  return put === null ? others : [...others, put];
}

/** Of two that are alike in all this, it makes no difference which is taken. */
function isSame(one: Grant | Exception, other: Grant | Exception): boolean {
  return (
    one.scope === other.scope &&
    one.startsAt === other.startsAt &&
    one.expiresAt === other.expiresAt &&
    ('role' in one
      ? 'role' in other && one.role === other.role
      : 'effect' in other && one.permission === other.permission && one.effect === other.effect)
  );
}
