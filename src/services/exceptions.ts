import { exchanged, reasonOf, sameTerms } from '../domain/grants.ts';
import type { PermissionSlug, Scope, UserId } from '../domain/ids.ts';
import type { Json } from '../domain/journal-entries.ts';
import { sees } from '../domain/sight.ts';
import {
  deleteException,
  type ExceptionRow,
  type ExceptionTerms,
  exceptionsOfUser,
  findException,
  putException,
} from '../storage/exceptions.ts';
import { accessOf } from '../storage/read-models/facts.ts';
import type { Transactions, WriteHandle, Written } from '../storage/transaction.ts';
import { requireAdministrator } from './administrator-floor.ts';
import { type Call, granterOf, writeContextOf } from './call.ts';
import { type EffectiveChange, effectiveChange } from './decisions/effective-change.ts';
import { readPower, requirePower } from './guard.ts';
import { requirePermission, requireUser } from './lookups.ts';

export type { ExceptionRow, ExceptionTerms };

/** What a change of one exception did to its user, in the exception's scope. */
export interface ExceptionOutcome extends EffectiveChange {
  readonly user: UserId;
  readonly created: boolean;
  readonly exception: ExceptionRow | null;
}

export interface Exceptions {
  /** Allows or denies one permission to one user at the scope, or gives the exception that is there new terms. */
  put(
    call: Call,
    user: UserId,
    permission: PermissionSlug,
    scope: Scope,
    terms: ExceptionTerms,
  ): Promise<Written<ExceptionOutcome>>;
  /** Ends the exception at exactly this scope; none to end changes nothing. */
  remove(
    call: Call,
    user: UserId,
    permission: PermissionSlug,
    scope: Scope,
  ): Promise<Written<ExceptionOutcome>>;
  /** Every exception of the user in sight, those out of force too. */
  ofUser(call: Call, user: UserId): Promise<readonly ExceptionRow[]>;
}

export function openExceptions(transactions: Transactions): Exceptions {
  async function change(
    handle: WriteHandle,
    call: Call,
    userId: UserId,
    slug: PermissionSlug,
    scope: Scope,
    terms: ExceptionTerms | null,
  ): Promise<ExceptionOutcome> {
    const user = await requireUser(handle, userId);
    const permission = await requirePermission(handle, slug);
    const place = { userPk: user.pk, permissionPk: permission.pk, scope };
    const existing = (await findException(handle, place)) ?? null;
    const windows = [existing, terms].filter((window) => window !== null);
    const reach = windows.map((window) => ({ permission: slug, scope, window }));
    const power = await readPower(handle, [call], [userId]);
    requirePower(power, call, 'rolecall_grant_permissions', scope, reach);
    const changes = existing && terms ? !isSame(existing, terms) : existing !== terms;
    const put = terms && { ...terms, permission: slug, scope };
    const before = accessOf(power, userId);
    const after = { ...before, exceptions: exchanged(before.exceptions, existing, put) };
    const done = effectiveChange(power, scope, before, changes ? after : before);
    if (!changes) return { user: userId, created: false, exception: existing, ...done };
    if (terms) await putException(handle, place, terms, granterOf(call));
    else if (existing) await deleteException(handle, existing.pk);
    const noted = terms ?? existing;
    handle.record({
      kind: terms ? 'exception_set' : 'exception_removed',
      userPk: user.pk,
      permissionPk: permission.pk,
      before: existing ? termsOf(existing) : null,
      after: put ? termsOf(put) : null,
      personal: noted ? reasonOf(noted) : {},
    });
    if (terms?.effect === 'deny') await requireAdministrator(handle, call);
    const exception = terms ? ((await findException(handle, place)) ?? null) : null;
    return { user: userId, created: !existing, exception, ...done };
  }

  return {
    put: (call, user, permission, scope, terms) =>
      transactions.write(writeContextOf(call), (handle) =>
        change(handle, call, user, permission, scope, terms),
      ),
    remove: (call, user, permission, scope) =>
      transactions.write(writeContextOf(call), (handle) =>
        change(handle, call, user, permission, scope, null),
      ),
    ofUser: (call, userId) =>
      transactions.read(call.deadline, async (handle) => {
        const exceptions = await exceptionsOfUser(handle, (await requireUser(handle, userId)).pk);
        return exceptions.filter((exception) => sees(call.sight, exception.scope));
      }),
  };
}

/** Notes that an exception ended, wherever that happens. */
export function recordExceptionRemoval(handle: WriteHandle, userPk: number, exception: ExceptionRow): void {
  handle.record({
    kind: 'exception_removed',
    userPk,
    permissionPk: exception.permissionPk,
    before: termsOf(exception),
    personal: reasonOf(exception),
  });
}

function isSame(a: ExceptionTerms, b: ExceptionTerms): boolean {
  return a.effect === b.effect && sameTerms(a, b);
}

function termsOf(exception: ExceptionTerms & { permission: PermissionSlug; scope: Scope }): Json {
  const { permission, scope, effect, startsAt, expiresAt } = exception;
  return { permission, scope, effect, startsAt, expiresAt };
}
