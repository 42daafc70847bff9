/** What a random history does to the service, as plain data. Names are few and alike, so that everything meets everything. */

interface Reasoned {
  readonly reason: string | null;
}

interface GrantPlace {
  readonly user: string;
  readonly role: string;
  readonly scope: string;
}

interface ExceptionPlace {
  readonly user: string;
  /** As `resource.action`, `resource:action` or the slug. */
  readonly permission: string;
  readonly scope: string;
}

export interface Terms extends Reasoned {
  readonly window: WindowName;
}

/** What a command is about, by its kind. */
export interface Members {
  readonly 'create user': { readonly user: string; readonly active: boolean };
  readonly 'set active': { readonly user: string; readonly active: boolean };
  readonly 'delete user': { readonly user: string };
  readonly grant: GrantPlace & Terms;
  readonly revoke: GrantPlace;
  readonly except: ExceptionPlace & Terms & { readonly effect: 'allow' | 'deny' };
  readonly 'end exception': ExceptionPlace;
  readonly register: { readonly permissions: readonly string[] };
  readonly retire: { readonly permission: string };
  readonly 'create role': { readonly role: string };
  readonly 'delete role': { readonly role: string };
  readonly give: { readonly role: string; readonly permission: string };
  readonly withhold: { readonly role: string; readonly permission: string };
  readonly replace: {
    readonly role: string;
    readonly permissions: readonly string[];
    readonly stale: boolean;
  };
  readonly include: { readonly role: string; readonly other: string };
  readonly exclude: { readonly role: string; readonly other: string };
  readonly 'create key': {
    readonly user: string;
    readonly narrowedTo: readonly string[] | null;
    readonly window: WindowName;
  };
  readonly 'revoke key': { readonly which: number };
}

export type Kind = keyof Members;
export type Change = { [K in Kind]: { readonly kind: K } & Members[K] }[Kind];

/** One command of a history and the question that is put after it. */
export interface Step {
  readonly change: Change;
  /** Only tried: everything is done, nothing kept. */
  readonly dry: boolean;
  /** What goes by POST is sent once more with the same Idempotency-Key. */
  readonly twice: boolean;
  readonly ask: ExceptionPlace;
}

const hour = 3_600_000;
const thisHour = Math.floor(Date.now() / hour) * hour;
/** Hours from now: so far away that it cannot matter when exactly "now" is. */
export const windows = {
  always: [null, null],
  past: [-60, -30],
  spanning: [-30, 30],
  future: [30, 60],
  started: [-30, null],
  ending: [null, 30],
  later: [30, null],
  ended: [null, -30],
  backwards: [30, -30],
  empty: [30, 30],
} as const;
export type WindowName = keyof typeof windows;

export function termsOf(window: WindowName): { startsAt: number | null; expiresAt: number | null } {
  const [starts, expires] = windows[window];
  return { startsAt: instantOf(starts), expiresAt: instantOf(expires) };
}

function instantOf(hours: number | null): number | null {
  return hours === null ? null : thisHour + hours * hour;
}

export const users = ['ann', 'Ann', 'auth0|x/y %2F@ü', 'root'];
export const roles = ['crew', 'crew-x', 'loader', 'manager', 'viewer', 'admin'];
export const permissions = [
  'h.view',
  'h_view_all',
  'orders:view_order',
  'documents.view_document',
  'orders_load_order',
  'orders.approve_order',
  'rolecall.check',
  'h.never_registered',
];
const held = ['', 'org', 'org/ac', 'org/acme', 'org/acme/billing/eu/2024/q1', 'Org/acme', 'orgs'];
export const malformed = 'org//acme';
/** Where questions are asked: at the last of them nothing is held, but perhaps above. */
export const scopes = [...held, 'org/acme/billing', 'org/acm', 'org/ac/me'];

export function slugOf(permission: string): string {
  return permission.replace(/[.:]/, '_');
}
