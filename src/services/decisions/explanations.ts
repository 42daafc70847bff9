import type { Catalogue } from '../../domain/decision/catalogue.ts';
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
import type { Instant, PermissionSlug, RoleKey, Scope, UserId } from '../../domain/ids.ts';
import type { BuiltinPermission } from '../../domain/matrix/builtin.ts';
import type { AskedMoment } from '../../domain/moments.ts';
import { isSelf } from '../../domain/principals.ts';
import { formatRevision, type Revision } from '../../domain/revisions.ts';
import { covers, scopesCovering } from '../../domain/scopes.ts';
import { type Sight, sees, seesNothing } from '../../domain/sight.ts';
import type { ReadHandle } from '../../storage/database.ts';
import { type ExplanationRows, loadExplanationRows } from '../../storage/read-models/explanation-rows.ts';
import type { SettledMoment } from '../../storage/read-models/history-moments.ts';
import { readMoment } from '../../storage/read-models/moment.ts';
import type { Transactions } from '../../storage/transaction.ts';
import type { AccessCheck, Asking } from './access-check.ts';
import { isOwn, type Past } from './past.ts';

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
  /** Only of the past: the instant at which starts and ends were judged. */
  readonly at?: Instant;
}

export interface Explanations {
  /**
   * Why a user may or may not do something, from one snapshot no older than asked. Whoever may see users in that scope
   * sees what lies where they may, and how much more there is. Anybody may ask about themselves, and sees what they have and until when: not who gave it and why,
   * nor origins, nor roles that they do not have. Throws `unknown_user`, and `forbidden` about others.
   */
  of(asking: Asking, about: About, at?: AskedMoment): Promise<Explained>;
}

/** What an explanation is about. */
interface About {
  readonly user: UserId;
  readonly permission: PermissionSlug;
  readonly scope: Scope;
}

/** What it is computed from, now or then. */
interface Basis {
  readonly revision: Revision;
  readonly at: Instant;
  readonly catalogue: Catalogue;
  readonly rows: ExplanationRows;
  /** Whether the caller's id was somebody else's then. */
  readonly isStranger?: boolean;
}

/** What it needs to see everything that a decision rests on. */
export const seeWhy = 'rolecall_read_users' satisfies BuiltinPermission;

export function openExplanations(
  transactions: Transactions,
  accessCheck: AccessCheck,
  past: Past,
): Explanations {
  /** Where the caller may know why; about others, at least in the scope asked about. */
  async function sightInto(asking: Asking, user: UserId, scope: Scope): Promise<Sight> {
    try {
      return await accessCheck.requireOf(asking, seeWhy, scope);
    } catch (error) {
      if (isAboutSelf(asking, user, scope) && error instanceof RolecallError && error.code === 'forbidden')
        return seesNothing;
      throw error;
    }
  }

  async function now(handle: ReadHandle, { user, permission, scope }: About): Promise<Basis> {
    const moment = await readMoment(handle.sql);
    const catalogue = await transactions.catalogueAt(handle, moment);
    const rows = await loadExplanationRows(handle.sql, user, permission, scopesCovering(scope));
    return { revision: moment.revision, at: moment.now, catalogue, rows };
  }

  async function then(
    handle: ReadHandle,
    asked: SettledMoment,
    { user, permission, scope }: About,
    { caller }: Asking,
  ): Promise<Basis> {
    const moment = await past.then(handle, asked);
    const found = (await past.usersNamed(handle, moment, [user])).get(user);
    const { includes, edges } = moment.rows;
    const access = found && {
      ...found.access,
      grants: found.access.grants.filter((grant) => covers(grant.scope, scope)),
    };
    const rows = { user: access, includes, edges: edges.filter((edge) => edge.permission === permission) };
    return { ...moment, rows, isStranger: user === caller.userId && !isOwn(caller, user, found) };
  }

  return {
    async of(asking, about, at) {
      const { user, permission, scope } = about;
      const sight = await sightInto(asking, user, scope);
      const settled = at && (await past.settle(asking.deadline, at));
      const basis = await transactions.read(asking.deadline, (handle) =>
        settled === undefined ? now(handle, about) : then(handle, settled, about, asking),
      );
      const { rows, catalogue, revision, isStranger = false } = basis;
      // Somebody else had the caller's id then: they are no business of the caller's own.
      if (isStranger) await accessCheck.requireOf(asking, seeWhy, scope);
      if (!rows.user) throw new RolecallError('unknown_user', 'there is no user with this id');
      const explanation = explain(catalogue, rows.user, rows, { permission, scope, at: basis.at });
      const shown = asSeen(explanation, sight, isAboutSelf(asking, user, scope) && !isStranger);
      const asked = at === undefined ? {} : { at: basis.at };
      return { ...shown, ...asked, revision: formatRevision(revision) };
    },
  };
}

function isAboutSelf({ caller }: Asking, user: UserId, scope: Scope): boolean {
  return isSelf(caller, user) && covers(caller.within, scope);
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
