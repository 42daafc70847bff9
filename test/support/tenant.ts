import postgres from 'postgres';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { createEmptyDatabase } from './database.ts';

/** A database whose schema belongs to a role that may do nothing else, as in a shared one. */
export interface Tenant {
  /** As the superuser of the server. */
  readonly sql: postgres.Sql;
  readonly superuserUrl: string;
  /** As the owner of the schema. */
  readonly url: string;
  readonly owner: string;
  /** Makes a role of this test's own that can log in; `clause` is what follows its name. Resolves to its URL. */
  login(name: string, clause?: string): Promise<string>;
  /** The name that `login` gave to a role. */
  nameOf(name: string): string;
  drop(): Promise<void>;
}

/** Makes one, migrated. Roles belong to the whole server: their names are those of the database and vanish with it. */
export async function createTenant(): Promise<Tenant> {
  const database = await createEmptyDatabase();
  const sql = postgres(database.url, { max: 1, onnotice: () => {} });
  const name = new URL(database.url).pathname.slice(1);
  const made: string[] = [];
  const nameOf = (role: string) => `${name}_${role}`;
  const login = async (role: string, clause = '') => {
    await sql.unsafe(`create role ${nameOf(role)} login password 'tenant' ${clause}`);
    made.push(nameOf(role));
    return Object.assign(new URL(database.url), { username: nameOf(role), password: 'tenant' }).href;
  };
  const url = await login('owner');
  await sql.unsafe(`create schema rolecall authorization ${nameOf('owner')}`);
  await migrateUp({ url, steps: await readSteps() });
  return {
    sql,
    superuserUrl: database.url,
    url,
    owner: nameOf('owner'),
    login,
    nameOf,
    async drop() {
      for (const role of made) await sql.unsafe(`drop owned by ${role} cascade`);
      await sql.end();
      await database.drop();
      const server = postgres(Object.assign(new URL(database.url), { pathname: '/postgres' }).href, {
        max: 1,
      });
      for (const role of made) await server.unsafe(`drop role ${role}`);
      await server.end();
    },
  };
}
