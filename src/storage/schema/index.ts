// drizzle-kit reads every table from here; the only barrel of storage.

export * from './api-keys.ts';
export { rolecall } from './columns.ts';
export * from './denials.ts';
export * from './epochs.ts';
export * from './idempotency.ts';
export * from './identities.ts';
export * from './identity-mappings.ts';
export * from './journal.ts';
export * from './mappings.ts';
export * from './matrix-layers.ts';
export * from './migrations.ts';
export * from './permissions.ts';
export * from './personal.ts';
export * from './revision.ts';
export * from './role-includes.ts';
export * from './role-permissions.ts';
export * from './roles.ts';
export * from './settings.ts';
export * from './user-permissions.ts';
export * from './user-roles.ts';
export * from './users.ts';
