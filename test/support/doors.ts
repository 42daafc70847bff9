/**
 * Every way to change anything, as a request and as what it gives or takes by the reference model: what a caller must
 * hold, or may escalate, to go through. The names are those of the operations.
 */
import type { Scope } from '../../src/domain/ids.ts';
import { covers } from '../../src/domain/scopes.ts';
import { filesWithLayer } from './matrix-files.ts';
import { type ReferenceGrant, referencePermissions, type World } from './reference-model.ts';
import { roleIn, type StoredWorld, slugIn, userIn } from './stored-worlds.ts';

export interface Gift {
  readonly permission: string;
  readonly scope: string;
  readonly startsAt: number | null;
  readonly expiresAt: number | null;
}

/** What a try is about, of which each door uses what it needs. */
export interface Try {
  readonly user: string;
  readonly role: string;
  readonly other: string;
  readonly permission: string;
  readonly scope: string;
  readonly startsAt: number | null;
  readonly expiresAt: number | null;
  readonly effect: 'allow' | 'deny';
  readonly narrowed: boolean;
}

/** One request, and what it needs to know of the world. */
export interface Request {
  readonly method: 'PUT' | 'POST' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly body?: object;
  /** What `If-Match` must name the version of. */
  readonly matching?: string;
}

/** A world in the database, with what was made in it for the doors that end something. */
export interface House {
  readonly stored: StoredWorld;
  /** The world with the right to use every route, and to escalate, in it as permissions like others. */
  readonly world: World;
  /** Of a user's grants those of origin `api`, which routes can alter. */
  alterable(user: string): readonly ReferenceGrant[];
  /** The instant at which the world is asked, and the instant 0 of it on the clock. */
  readonly at: number;
  readonly zero: number;
  /** A key of Alice's with one permission in one scope; without a permission there is none. */
  readonly key: { readonly id: string; readonly permission: string | undefined };
  /** A mapping to `mappedRole` in `keyedScope`. */
  readonly mapping: string;
  /** What applying these files would change, by whom nothing is hidden from. */
  planOf(body: object): Promise<readonly PlannedChange[]>;
}

export interface PlannedChange {
  readonly kind: string;
  readonly permission?: string | object;
  readonly included?: string;
}

export interface Door {
  request(house: House, one: Try): Request;
  gifts(house: House, one: Try): readonly Gift[] | Promise<readonly Gift[]>;
  /** What it gives or takes instead, where somebody comes with all that they have and it is about themselves. */
  own?(house: House, one: Try): readonly Gift[];
}

export const keyedScope = 'org/acme';
export const mappedRole = 'loader';
const [shippedMatrix] = filesWithLayer;
const hourMs = 3_600_000;
const forGood = { scope: '', startsAt: null, expiresAt: null };
const escalating = (scope: string): Gift => ({ ...forGood, scope, permission: 'rolecall_escalate' });
const isWithin = (scope: string, upper: string) => covers(upper as Scope, scope as Scope);

const placed = ({ scope, startsAt, expiresAt }: Omit<Gift, 'permission'>) => ({ scope, startsAt, expiresAt });
const hasEnded = (at: number, { expiresAt }: { expiresAt: number | null }) =>
  expiresAt !== null && expiresAt <= at;

function ofRole(world: World, role: string, where: Omit<Gift, 'permission'>): readonly Gift[] {
  const holder = { active: true, grants: [{ role, ...forGood }], exceptions: [] };
  const given = referencePermissions({ ...world, users: new Map([['holder', holder]]) }, 'holder', '', 0);
  return given.map((permission) => ({ permission, ...where }));
}

function ofUser({ world, at }: House, { user }: Pick<Try, 'user'>): readonly Gift[] {
  const { grants = [], exceptions = [] } = world.users.get(user) ?? {};
  const granted = grants
    .filter((grant) => !hasEnded(at, grant))
    .flatMap((grant) => ofRole(world, grant.role, placed(grant)));
  const allowed = exceptions.filter(
    (one) =>
      one.effect === 'allow' && !hasEnded(at, one) && world.permissions.get(one.permission) === 'registered',
  );
  return [...granted, ...allowed.map((one) => ({ permission: one.permission, ...placed(one) }))];
}

/** What one is denied is lifted too, of oneself as well: the id could be used again. */
function liftedOf({ world, at }: House, { user }: Pick<Try, 'user'>): readonly Gift[] {
  const exceptions = world.users.get(user)?.exceptions ?? [];
  const denials = exceptions.filter((each) => each.effect === 'deny' && !hasEnded(at, each));
  return denials.map((each) => ({ permission: each.permission, ...placed(each) }));
}

const grantThere = (house: House, { user, role, scope }: Try) =>
  house.alterable(user).filter((grant) => grant.role === role && grant.scope === scope);
const exceptionThere = ({ world }: House, { user, permission, scope }: Try) =>
  (world.users.get(user)?.exceptions ?? []).filter(
    (one) => one.permission === permission && one.scope === scope,
  );

/** The role's own permissions, retired ones too. */
function edgesOf({ stored }: House, role: string): readonly string[] {
  const rows = stored.world.edges.filter((row) => row.role === role);
  const named = [...new Set(rows.map(({ permission }) => permission))];
  return named.filter((permission) => rows.every((row) => row.permission !== permission || !row.withheld));
}

const userPath = ({ stored }: House, user: string) => `/users/${encodeURIComponent(userIn(stored, user))}`;
const rolePath = ({ stored }: House, role: string) => `/roles/${roleIn(stored, role)}`;
const grantPath = (house: House, { user, role, scope }: Try) =>
  `${userPath(house, user)}/roles/${roleIn(house.stored, role)}?scope=${scope}`;
const exceptionPath = (house: House, { user, permission, scope }: Try) =>
  `${userPath(house, user)}/permissions/${slugIn(house.stored, permission)}?scope=${scope}`;
const edgePath = (house: House, { role, permission }: Try) =>
  `${rolePath(house, role)}/permissions/${slugIn(house.stored, permission)}`;
const includePath = (house: House, { role, other }: Try) =>
  `${rolePath(house, role)}/includes/${roleIn(house.stored, other)}`;
/** The one that each user has, or may be linked to. */
export const identityOf = (stored: StoredWorld, user: string) => ({
  issuer: 'idp',
  subject: userIn(stored, user),
});
const timeOf = ({ zero }: House, { startsAt, expiresAt }: Try) => {
  const time = (bound: number | null) => bound && new Date(zero + bound * hourMs).toISOString();
  return { startsAt: time(startsAt), expiresAt: time(expiresAt) };
};
const wantedPermissions = ({ permission, effect }: Try) => (effect === 'allow' ? [permission] : []);

/** A layer that declares what it names as it is, and gives, withholds or includes something. */
function filesOf({ stored }: House, { role, other, permission: wanted, effect, narrowed }: Try) {
  const { number, world } = stored;
  // The service leaves no edge of what is retired, that declaring it could bring back; a drawn world may have one.
  const permission = world.permissions.get(wanted) === 'retired' ? 'brand_new' : wanted;
  const included = other === role ? 'orders_view' : other;
  const rule = narrowed
    ? `include: { ${roleIn(stored, role)}: [${roleIn(stored, included)}] }`
    : `${effect === 'allow' ? 'add' : 'withhold'}: { ${roleIn(stored, role)}: [w${number}.${permission}] }`;
  const roles = [role, included].map((key) => `  ${roleIn(stored, key)}: { name: ${key}, description: x }\n`);
  const text = `version: 1\nid: tried\npermissions: { w${number}: { ${permission}: x } }\nroles:\n${roles.join('')}${rule}\n`;
  return { files: [shippedMatrix, { name: 'layers/tried.yaml', text }], accept: 'matrix' };
}

const given = (house: House, one: Try) =>
  [...grantThere(house, one).map(placed), placed(one)].flatMap((where) =>
    ofRole(house.world, one.role, where),
  );
const edge = (_house: House, { permission }: Try) => [{ permission, ...forGood }];
const include = ({ world }: House, { other }: Try) => ofRole(world, other, forGood);
const nothing = () => [];
const ofDeletion = (house: House, one: Try) => [...ofUser(house, one), ...liftedOf(house, one)];

export const doors = {
  grantRole: {
    request: (h, one) => ({ method: 'PUT', path: grantPath(h, one), body: timeOf(h, one) }),
    gifts: given,
  },
  changeGrants: {
    request: (h, one) => {
      const place = { user: userIn(h.stored, one.user), role: roleIn(h.stored, one.role), scope: one.scope };
      const changes = [{ op: 'grant', ...place, ...timeOf(h, one) }];
      return {
        method: 'POST',
        path: '/grants/batch',
        body: { mode: one.narrowed ? 'atomic' : 'each', changes },
      };
    },
    gifts: given,
  },
  replaceUserRoles: {
    request: (h, one) => {
      const path = `${userPath(h, one.user)}/roles?scope=${one.scope}`;
      const grants = [{ role: roleIn(h.stored, one.role), scope: one.scope, ...timeOf(h, one) }];
      return { method: 'PUT', path, matching: path, body: { grants } };
    },
    gifts: (h, one) => {
      const standing = h.alterable(one.user).filter((grant) => isWithin(grant.scope, one.scope));
      const isSame = grantThere(h, one).some(
        (grant) => grant.startsAt === one.startsAt && grant.expiresAt === one.expiresAt,
      );
      const changed = [...standing, { role: one.role, ...placed(one) }];
      return isSame ? [] : changed.flatMap((grant) => ofRole(h.world, grant.role, placed(grant)));
    },
  },
  revokeRole: {
    request: (h, one) => ({ method: 'DELETE', path: grantPath(h, one) }),
    gifts: (h, one) => grantThere(h, one).flatMap((grant) => ofRole(h.world, one.role, placed(grant))),
  },
  setException: {
    request: (h, one) => ({
      method: 'PUT',
      path: exceptionPath(h, one),
      body: { effect: one.effect, ...timeOf(h, one) },
    }),
    gifts: (h, one) =>
      [...exceptionThere(h, one).map(placed), placed(one)].map((where) => ({
        permission: one.permission,
        ...where,
      })),
  },
  endException: {
    request: (h, one) => ({ method: 'DELETE', path: exceptionPath(h, one) }),
    gifts: (h, one) =>
      exceptionThere(h, one).map((held) => ({ permission: one.permission, ...placed(held) })),
  },
  giveRolePermission: {
    request: (h, one) => ({ method: 'PUT', path: edgePath(h, one) }),
    gifts: edge,
  },
  withholdRolePermission: {
    request: (h, one) => ({ method: 'DELETE', path: edgePath(h, one) }),
    gifts: edge,
  },
  replaceRolePermissions: {
    request: (h, one) => {
      const path = `${rolePath(h, one.role)}/permissions`;
      const permissions = wantedPermissions(one).map((slug) => slugIn(h.stored, slug));
      return { method: 'PUT', path, matching: path, body: { permissions } };
    },
    gifts: (h, one) => {
      const [had, wanted] = [edgesOf(h, one.role), wantedPermissions(one)];
      const changing = [
        ...had.filter((slug) => !wanted.includes(slug)),
        ...wanted.filter((slug) => !had.includes(slug)),
      ];
      return changing.map((permission) => ({ permission, ...forGood }));
    },
  },
  includeRole: {
    request: (h, one) => ({ method: 'PUT', path: includePath(h, one) }),
    gifts: include,
  },
  excludeRole: {
    request: (h, one) => ({ method: 'DELETE', path: includePath(h, one) }),
    gifts: include,
  },
  createRole: {
    request: (h) => ({ method: 'POST', path: '/roles', body: { key: roleIn(h.stored, 'new'), name: 'New' } }),
    gifts: nothing,
  },
  updateRole: {
    request: (h, one) => ({ method: 'PATCH', path: rolePath(h, one.role), body: { name: one.permission } }),
    gifts: nothing,
  },
  deleteRole: {
    request: (h, one) => ({ method: 'DELETE', path: rolePath(h, one.role) }),
    gifts: ({ world }, { role }) => ofRole(world, role, forGood),
  },
  registerPermission: {
    request: (h) => ({
      method: 'POST',
      path: '/permissions',
      body: { permission: `w${h.stored.number}.brand_new` },
    }),
    gifts: nothing,
  },
  registerPermissions: {
    request: (h) => ({
      method: 'POST',
      path: '/permissions/batch',
      body: { permissions: [{ permission: `w${h.stored.number}.brand_new` }] },
    }),
    gifts: nothing,
  },
  describePermission: {
    request: (h, { permission }) => ({
      method: 'PATCH',
      path: `/permissions/${slugIn(h.stored, permission)}`,
      body: { description: 'New' },
    }),
    gifts: nothing,
  },
  retirePermission: {
    request: (h, { permission }) => ({
      method: 'DELETE',
      path: `/permissions/${slugIn(h.stored, permission)}`,
    }),
    gifts: edge,
  },
  createKey: {
    request: (h, one) => {
      const permissions = one.narrowed ? { permissions: [slugIn(h.stored, one.permission)] } : {};
      const body = { user: userIn(h.stored, one.user), name: 'x', scope: one.scope, ...permissions };
      return { method: 'POST', path: '/keys', body };
    },
    // Without a list it grows with its user: nobody holds all that somebody else will ever get.
    gifts: (_h, { narrowed, permission, scope }) => [
      narrowed ? { ...forGood, permission, scope } : escalating(scope),
    ],
    own: nothing,
  },
  rotateKey: {
    request: (h) => ({ method: 'POST', path: `/keys/${h.key.id}/rotate`, body: {} }),
    gifts: ({ key: { permission } }) =>
      permission === undefined ? [escalating(keyedScope)] : [{ ...forGood, permission, scope: keyedScope }],
  },
  revokeKey: {
    request: (h) => ({ method: 'DELETE', path: `/keys/${h.key.id}` }),
    gifts: (h) =>
      ofUser(h, { user: 'Alice' })
        .filter(({ permission }) => h.key.permission === undefined || permission === h.key.permission)
        .filter(({ scope }) => isWithin(keyedScope, scope) || isWithin(scope, keyedScope))
        .map((gift) => (isWithin(keyedScope, gift.scope) ? { ...gift, scope: keyedScope } : gift)),
  },
  createUser: {
    request: (h, one) => ({
      method: 'POST',
      path: '/users',
      body: { id: userIn(h.stored, one.narrowed ? 'new' : one.user) },
    }),
    gifts: nothing,
  },
  updateUser: {
    request: (h, one) => ({ method: 'PATCH', path: userPath(h, one.user), body: { active: one.narrowed } }),
    gifts: (h, one) => (h.world.users.get(one.user)?.active === one.narrowed ? [] : ofUser(h, one)),
    own: nothing,
  },
  deleteUser: {
    request: (h, one) => ({ method: 'DELETE', path: userPath(h, one.user) }),
    gifts: ofDeletion,
    own: liftedOf,
  },
  eraseUser: {
    request: (h, one) => ({ method: 'POST', path: `${userPath(h, one.user)}/erase` }),
    gifts: ofDeletion,
    own: liftedOf,
  },
  linkIdentity: {
    request: (h, one) => ({
      method: 'PUT',
      path: `${userPath(h, one.user)}/identities`,
      body: identityOf(h.stored, one.user),
    }),
    gifts: ofUser,
    own: nothing,
  },
  unlinkIdentity: {
    request: (h, one) => ({
      method: 'DELETE',
      path: `${userPath(h, one.user)}/identities`,
      body: identityOf(h.stored, one.user),
    }),
    gifts: ofUser,
    own: nothing,
  },
  createMapping: {
    request: (h, { role, scope }) => {
      const rule = { issuer: 'https://idp', claim: ['groups'], value: 'new' };
      return { method: 'POST', path: '/mappings', body: { ...rule, role: roleIn(h.stored, role), scope } };
    },
    gifts: ({ world }, { role, scope }) => ofRole(world, role, { ...forGood, scope }),
  },
  deleteMapping: {
    request: (h) => ({ method: 'DELETE', path: `/mappings/${h.mapping}` }),
    gifts: ({ world }) => ofRole(world, mappedRole, { ...forGood, scope: keyedScope }),
  },
  changeSetting: {
    request: (h, { role }) => {
      const path = '/settings/default_role';
      return { method: 'PATCH', path, matching: path, body: { value: roleIn(h.stored, role) } };
    },
    gifts: ({ world }, { role }) => ofRole(world, role, forGood),
  },
  applyMatrix: {
    request: (h, one) => ({
      method: 'POST',
      path: '/matrix/apply',
      body: { ...filesOf(h, one), allowLoss: true },
    }),
    gifts: async (h, one) => {
      // A layer of a world before has names that mean nothing in this one, and nobody holds what it takes back.
      const plain = (name: string) => name.replace(new RegExp(`^w${h.stored.number}[_-]`), '');
      return (await h.planOf(filesOf(h, one))).flatMap(({ kind, permission, included }) => {
        if (included !== undefined) return ofRole(h.world, plain(included), forGood);
        const reaches = ['edge_added', 'edge_removed', 'permission_retired'].includes(kind);
        return reaches ? [{ permission: plain(String(permission)), ...forGood }] : [];
      });
    },
  },
} satisfies Readonly<Record<string, Door>>;

export type DoorName = keyof typeof doors;
