import type postgres from 'postgres';
import { RolecallError } from '../../domain/errors.ts';
import { stateOf } from '../errors.ts';
import { callableBy, type KitRole, kitRoles, tablePrivileges } from './privileges.ts';

/**
 * Makes the roles that are not there yet, and gives each exactly what it needs of what the migrations made: more is
 * taken back. To be run again after `migrate up` and before `pg_restore`; on a database without our tables it makes
 * the roles only. Returns the roles it made. Throws `forbidden` when the connection may not make roles or grants.
 */
export async function installRowLevel(
  sql: postgres.TransactionSql,
): Promise<{ made: readonly string[]; granted: boolean }> {
  try {
    const made: string[] = [];
    for (const role of kitRoles) if (await makeRole(sql, role)) made.push(role);
    const tables = await ourTables(sql);
    for (const role of kitRoles) if (tables.length > 0) await grant(sql, role, tables);
    return { made, granted: tables.length > 0 };
  } catch (error) {
    throw explained(error);
  }
}

/**
 * Takes back every grant, and removes the roles as far as nothing outside of this schema needs them. Throws `forbidden`
 * while somebody is still a member of one: they would lose their access without a word.
 */
export async function uninstallRowLevel(
  sql: postgres.TransactionSql,
): Promise<{ removed: readonly string[]; kept: readonly string[] }> {
  try {
    await refuseWhileThereAreMembers(sql);
    const removed: string[] = [];
    const kept: string[] = [];
    for (const role of await existing(sql)) {
      await revoke(sql, role);
      ((await isDropped(sql, role)) ? removed : kept).push(role);
    }
    return { removed, kept };
  } catch (error) {
    throw explained(error);
  }
}

async function refuseWhileThereAreMembers(sql: postgres.TransactionSql): Promise<void> {
  const members = await sql<{ line: string }[]>`
    select format('%s in %s', member::regrole, roleid::regrole) as line from pg_auth_members as m
    where roleid::regrole::text in ${sql(kitRoles)}
      and coalesce((to_jsonb(m) ->> 'inherit_option')::boolean, true) order by 1`;
  if (members.length > 0)
    throw new RolecallError(
      'forbidden',
      `the roles have members (${members.map(({ line }) => line).join(', ')}): revoke the memberships first`,
    );
}

/** False for a role that another database of this server uses as well, or that a neighbour gave something. */
function isDropped(sql: postgres.TransactionSql, role: string): Promise<boolean> {
  return sql
    .savepoint((attempt) => attempt.unsafe(`drop role ${role}`))
    .then(
      () => true,
      (error: unknown) => {
        if (stateOf(error) === '2BP01') return false;
        throw error;
      },
    );
}

async function makeRole(sql: postgres.TransactionSql, role: KitRole): Promise<boolean> {
  const [found] = await sql`select 1 from pg_roles where rolname = ${role}`;
  if (found) return false;
  await sql.unsafe(`create role ${role} nologin`);
  return true;
}

async function ourTables(sql: postgres.TransactionSql): Promise<readonly string[]> {
  const rows = await sql<{ relname: string }[]>`
    select relname from pg_class where relnamespace = to_regnamespace('rolecall') and relkind = 'r' order by 1`;
  return rows.map(({ relname }) => relname);
}

async function grant(sql: postgres.TransactionSql, role: KitRole, tables: readonly string[]): Promise<void> {
  await revoke(sql, role);
  await sql.unsafe(`grant usage on schema rolecall to ${role}`);
  for (const table of tables) {
    const privileges = tablePrivileges(role, table);
    if (privileges.length > 0)
      await sql.unsafe(`grant ${privileges.join(', ')} on rolecall."${table}" to ${role}`);
  }
  for (const signature of callableBy(role))
    await sql.unsafe(`grant execute on function rolecall.${signature} to ${role}`);
}

async function revoke(sql: postgres.TransactionSql, role: string): Promise<void> {
  const [schema] = await sql`select 1 from pg_namespace where nspname = 'rolecall'`;
  if (!schema) return;
  for (const what of ['all tables in schema', 'all functions in schema', 'schema'])
    await sql.unsafe(`revoke all on ${what} rolecall from ${role}`);
}

async function existing(sql: postgres.TransactionSql): Promise<readonly string[]> {
  const rows = await sql<
    { rolname: string }[]
  >`select rolname from pg_roles where rolname in ${sql(kitRoles)} order by 1`;
  return rows.map(({ rolname }) => rolname);
}

function explained(error: unknown): unknown {
  if (stateOf(error) === '42501')
    return new RolecallError(
      'forbidden',
      `${(error as Error).message}: connect as the owner of the schema rolecall, with CREATEROLE where roles must be made`,
      { cause: error },
    );
  if (stateOf(error) === '42883')
    return new RolecallError('not_ready', 'the SQL functions are not there yet: rolecall migrate up', {
      cause: error,
    });
  return error;
}
