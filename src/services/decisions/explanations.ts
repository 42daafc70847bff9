import {
  type Explanation,
  explain,
  type Given,
  type Path,
  type Shortened,
  type WindowState,
} from '../../domain/decision/explain.ts';
import type { NearestRole } from '../../domain/decision/nearest-roles.ts';
import { RolecallError } from '../../domain/errors.ts';
import type { Exception, Grant } from '../../domain/grants.ts';
import type { PermissionSlug, RoleKey, Scope, UserId } from '../../domain/ids.ts';
import type { BuiltinPermission } from '../../domain/matrix/builtin.ts';
import { formatRevision } from '../../domain/revisions.ts';
import { scopesCovering } from '../../domain/scopes.ts';
import { type Sight, sees, seesNothing } from '../../domain/sight.ts';
import { loadExplanationRows } from '../../storage/read-models/explanation-rows.ts';
import { readMoment } from '../../storage/read-models/moment.ts';
import type { Transactions } from '../../storage/transaction.ts';
import type { AccessCheck, Asking } from './access-check.ts';

interface ShownLink {
  readonly role: RoleKey;
  readonly origins?: readonly string[];
}

interface ShownPath {
  readonly state: WindowState;
  readonly grant: Grant & Partial<Given> & { readonly origin?: string };
  readonly includes: readonly ShownLink[];
  readonly edge: ShownLink;
}

type ShownException = Exception & Partial<Given> & { readonly state: WindowState };

/** An explanation, as far as the caller may see it. */
export interface Explained extends Pick<Explanation, 'decision' | 'changesAt'> {
  readonly paths: Shortened<ShownPath>;
  readonly exceptions: Shortened<ShownException>;
  readonly nearest?: Shortened<NearestRole>;
  readonly revision: string;
}

export interface Explanations {
  /**
   * Why a user may or may not do something, from one snapshot no older than asked. Whoever may see users in that scope
   * sees what lies where they may, and how much more there is. Anybody may ask about themselves, and sees what they have and until when: not who gave it and why,
   * nor origins, nor roles that they do not have. Throws `unknown_user`, and `forbidden` about others.
   */
  of(asking: Asking, user: UserId, permission: PermissionSlug, scope: Scope): Promise<Explained>;
}

/** What it needs to see everything that a decision rests on. */
export const seeWhy = 'rolecall_read_users' satisfies BuiltinPermission;

export function openExplanations(transactions: Transactions, accessCheck: AccessCheck): Explanations {
  /** Where the caller may know why; about others, at least in the scope asked about. */
  async function sightInto(asking: Asking, user: UserId, scope: Scope): Promise<Sight> {
    try {
      return await accessCheck.requireOf(asking, seeWhy, scope);
    } catch (error) {
      const isOwn = user === asking.caller.userId;
      if (isOwn && error instanceof RolecallError && error.code === 'forbidden') return seesNothing;
      throw error;
    }
  }

  return {
    async of(asking, user, permission, scope) {
      const sight = await sightInto(asking, user, scope);
      return transactions.read(asking.deadline, async (handle) => {
        const moment = await readMoment(handle.sql);
        const catalogue = await transactions.catalogueAt(handle, moment);
        const rows = await loadExplanationRows(handle.sql, user, permission, scopesCovering(scope));
        if (!rows.user) throw new RolecallError('unknown_user', 'there is no user with this id');
        const question = { permission, scope, at: moment.now };
        const explanation = explain(catalogue, rows.user, rows, question);
        const shown = asSeen(explanation, sight, user === asking.caller.userId);
        return { ...shown, revision: formatRevision(moment.revision) };
      });
    },
  };
}

/** What lies out of sight is counted; of oneself it is shown, but not who gave it and why. */
function asSeen(
  { decision, changesAt, paths, exceptions, nearest }: Explanation,
  sight: Sight,
  isOwn: boolean,
): Omit<Explained, 'revision'> {
  return {
    decision,
    changesAt,
    paths: shownOf(paths, ({ grant }) => sees(sight, grant.scope), isOwn ? ownPath : undefined),
    exceptions: shownOf(exceptions, ({ scope }) => sees(sight, scope), isOwn ? ownException : undefined),
    ...(sight.scopes.length > 0 && { nearest }),
  };
}

function shownOf<Whole extends Part, Part>(
  { shown, leftOut }: Shortened<Whole>,
  isSeen: (one: Whole) => boolean,
  partOf: ((one: Whole) => Part) | undefined,
): Shortened<Part> {
  const seen = shown.flatMap((one) => (isSeen(one) ? [one] : partOf ? [partOf(one)] : []));
  return { shown: seen, leftOut: leftOut + shown.length - seen.length };
}

function ownPath({ state, grant: { role, scope, startsAt, expiresAt }, includes, edge }: Path): ShownPath {
  const linkOf = ({ role: key }: ShownLink) => ({ role: key });
  return {
    state,
    grant: { role, scope, startsAt, expiresAt },
    includes: includes.map(linkOf),
    edge: linkOf(edge),
  };
}

function ownException(exception: ShownException): ShownException {
  const { state, permission, effect, scope, startsAt, expiresAt } = exception;
  return { state, permission, effect, scope, startsAt, expiresAt };
}
