import { RolecallError } from '../domain/errors.ts';
import { endOf, startOf, type Terms } from '../domain/grants.ts';
import type { RoleKey, Scope, UserId } from '../domain/ids.ts';
import { administratorRole, builtinSlugs } from '../domain/matrix/builtin.ts';
import { everywhere } from '../domain/scopes.ts';
import { administratorRemains } from '../storage/administrators.ts';
import { accessOf, type Facts } from '../storage/read-models/facts.ts';
import type { WriteHandle } from '../storage/transaction.ts';
import type { Call } from './call.ts';

/** Throws `last_administrator` if the write, as it stands in its transaction, leaves nobody to repair anything. */
export async function requireAdministrator(handle: WriteHandle, call: Call): Promise<void> {
  if (call.caller.kind === 'operator') return;
  if (!(await administratorRemains(handle, administratorRole, builtinSlugs))) throw noAdministrator();
}

export function noAdministrator(): RolecallError {
  return new RolecallError(
    'last_administrator',
    'somebody active must keep the role admin everywhere, without an end and without a denied rolecall permission',
  );
}

/** A grant that is given, or with null taken back. */
interface SeatChange {
  readonly user: UserId;
  readonly role: RoleKey;
  readonly scope: Scope;
  readonly terms: Terms | null;
}

/** Who remains administrator, as changes of grants are made. */
export class AdministratorFloor {
  readonly #seated: Set<UserId>;
  readonly #facts: Facts;
  #touched = false;

  constructor(seated: readonly UserId[], facts: Facts) {
    this.#seated = new Set(seated);
    this.#facts = facts;
  }

  /** Whether a grant of the role that stood was altered and nobody is left. */
  get isBroken(): boolean {
    return this.#touched && this.#seated.size === 0;
  }

  /** Notes a change; what it returns forgets it again. */
  note({ user, role, scope, terms }: SeatChange, grant: Terms | null): () => void {
    if (role !== administratorRole) return () => {};
    const [wasTouched, wasSeated] = [this.#touched, this.#seated.has(user)];
    this.#touched ||= grant !== null;
    if (scope === everywhere) this.#seat(user, terms !== null && this.#isSeat(user, terms));
    return () => {
      this.#touched = wasTouched;
      this.#seat(user, wasSeated);
    };
  }

  #seat(user: UserId, sits: boolean): void {
    if (sits) this.#seated.add(user);
    else this.#seated.delete(user);
  }

  #isSeat(user: UserId, terms: Terms): boolean {
    const { now } = this.#facts;
    const { active, exceptions } = accessOf(this.#facts, user);
    const isDenied = exceptions.some(
      ({ effect, permission, ...window }) =>
        effect === 'deny' && builtinSlugs.includes(permission) && endOf(window) > now,
    );
    return active && !isDenied && terms.expiresAt === null && startOf(terms) <= now;
  }
}
