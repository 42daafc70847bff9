/** The database roles of the row-level kit. None can log in: those who do are made members. */
export const ownerRole = 'rolecall_owner';
export const serviceRole = 'rolecall_service';
export const readerRole = 'rolecall_reader';
export const kitRoles = [ownerRole, serviceRole, readerRole] as const;
export type KitRole = (typeof kitRoles)[number];

const everyRow = ['select', 'insert', 'update', 'delete'];
/** The journal only grows, whoever writes it. */
const growing = ['select', 'insert'];
/** What is written once, as it is, and may have to go. */
const unaltered = ['select', 'insert', 'delete'];

/** What the service may do with a table where that is not everything. */
const ofService: Readonly<Record<string, readonly string[]>> = {
  journal: growing,
  epochs: growing,
  personal: unaltered,
  denials: unaltered,
  revision: ['select', 'update'],
  migrations: ['select'],
};

/** The privileges of a role of the kit on one of our tables. */
export function tablePrivileges(role: KitRole, table: string): readonly string[] {
  if (role === readerRole) return [];
  if (role === ownerRole) return table === 'journal' ? growing : everyRow;
  return ofService[table] ?? everyRow;
}

/** What neighbours ask, in their policies and elsewhere. */
const questions = [
  'can(text, text)',
  'covers(rolecall.held_scopes, text)',
  'current_user_id()',
  'has_permission(text, text, text)',
  'has_role(text, text, text)',
  'scopes_of(text)',
];
/** What our own policies ask of everybody who touches our tables. */
const ofPolicies = ['acts_for_owner(regclass)', 'acts_for_service()'];

/** The functions, by signature within the schema, that a role of the kit may call. */
export function callableBy(role: KitRole): readonly string[] {
  if (role === readerRole) return questions;
  return role === ownerRole ? [...questions, ...ofPolicies] : ofPolicies;
}
