import {
  type Explanation,
  explain,
  type Given,
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
import { loadExplanationRows } from '../../storage/read-models/explanation-rows.ts';
import { readMoment } from '../../storage/read-models/moment.ts';
import type { Transactions } from '../../storage/transaction.ts';
import type { AccessCheck, Asking } from './access-check.ts';
import type { CatalogueAt } from './catalogue-at.ts';

interface ShownLink {
  readonly role: RoleKey;
  readonly origins?: readonly string[];
}

/** An explanation, as far as the caller may see it. */
export interface Explained extends Pick<Explanation, 'decision' | 'changesAt'> {
  readonly paths: Shortened<{
    readonly state: WindowState;
    readonly grant: Grant & Partial<Given> & { readonly origin?: string };
    readonly includes: readonly ShownLink[];
    readonly edge: ShownLink;
  }>;
  readonly exceptions: Shortened<Exception & Partial<Given> & { readonly state: WindowState }>;
  readonly nearest?: Shortened<NearestRole>;
  readonly revision: string;
}

export interface Explanations {
  /**
   * Why a user may or may not do something, from one snapshot no older than asked. Whoever may see users in that scope
   * sees all of it. Anybody may ask about themselves, and sees what they have and until when: not who gave it and why,
   * nor origins, nor roles that they do not have. Throws `unknown_user`, and `forbidden` about others.
   */
  of(asking: Asking, user: UserId, permission: PermissionSlug, scope: Scope): Promise<Explained>;
}

/** What it needs to see everything that a decision rests on. */
export const seeWhy = 'rolecall_read_users' satisfies BuiltinPermission;

export function openExplanations(
  transactions: Transactions,
  accessCheck: AccessCheck,
  catalogueAt: CatalogueAt,
): Explanations {
  async function mayKnowWhy(asking: Asking, user: UserId, scope: Scope): Promise<boolean> {
    try {
      await accessCheck.requireOf(asking, seeWhy, scope);
      return true;
    } catch (error) {
      const isOwn = user === asking.caller.userId;
      if (isOwn && error instanceof RolecallError && error.code === 'forbidden') return false;
      throw error;
    }
  }

  return {
    async of(asking, user, permission, scope) {
      const whole = await mayKnowWhy(asking, user, scope);
      return transactions.read(asking.deadline, async (handle) => {
        const moment = await readMoment(handle.sql);
        const catalogue = await catalogueAt(handle, moment);
        const rows = await loadExplanationRows(handle.sql, user, permission, scopesCovering(scope));
        if (!rows.user) throw new RolecallError('unknown_user', 'there is no user with this id');
        const question = { permission, scope, at: moment.now };
        const explanation = explain(catalogue, rows.user, rows, question);
        const shown = whole ? explanation : ownView(explanation);
        return { ...shown, revision: formatRevision(moment.revision) };
      });
    },
  };
}

function ownView({ decision, changesAt, paths, exceptions }: Explanation): Omit<Explained, 'revision'> {
  const linkOf = ({ role }: ShownLink) => ({ role });
  return {
    decision,
    changesAt,
    paths: {
      ...paths,
      shown: paths.shown.map(({ state, grant: { role, scope, startsAt, expiresAt }, includes, edge }) => ({
        state,
        grant: { role, scope, startsAt, expiresAt },
        includes: includes.map(linkOf),
        edge: linkOf(edge),
      })),
    },
    exceptions: {
      ...exceptions,
      shown: exceptions.shown.map(({ state, permission, effect, scope, startsAt, expiresAt }) => {
        return { state, permission, effect, scope, startsAt, expiresAt };
      }),
    },
  };
}
