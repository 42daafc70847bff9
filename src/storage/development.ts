import postgres from 'postgres';
import { RolecallError } from '../domain/errors.ts';
import { startEmbeddedPostgres } from './embedded/embedded.ts';

/** A database that demo people and a key may be put into. */
export interface DevelopmentDatabase {
  readonly url: string;
  /** For people: where its data is. */
  readonly location: string;
  stop(): Promise<void>;
}

const databaseName = 'rolecall';
const marker = 'made by rolecall dev: demo people and an administrator key may be here';

/** Starts the PostgreSQL that ships with the package, with its data in this folder, and a database in it. */
export async function startOwnDatabase(dataDirectory: string): Promise<DevelopmentDatabase> {
  const server = await startEmbeddedPostgres({ dataDirectory, durable: true });
  try {
    await connected(server.url, async (sql) => {
      const [found] = await sql`select 1 from pg_database where datname = ${databaseName}`;
      if (!found) await sql`create database ${sql(databaseName)}`;
    });
  } catch (error) {
    await server.stop();
    throw error;
  }
  const url = new URL(server.url);
  url.pathname = `/${databaseName}`;
  return { url: url.href, location: server.dataDirectory, stop: () => server.stop() };
}

/**
 * Takes somebody's own PostgreSQL for development: on this machine, and either quite empty or taken before. Throws
 * `forbidden` for any other, so that demo people never land in a real database.
 */
export async function claimDatabase(url: string): Promise<DevelopmentDatabase> {
  const { hostname, searchParams } = readUrl(url);
  if (!/^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(hostname) || searchParams.has('host'))
    throw new RolecallError(
      'forbidden',
      'dev uses a database on this machine only: localhost, 127.0.0.1 or [::1]',
    );
  await connected(url, (sql) =>
    sql.begin(async (transaction) => {
      const [schema] = await transaction<{ comment: string | null }[]>`
        select obj_description(oid, 'pg_namespace') as comment from pg_namespace where nspname = 'rolecall'`;
      if (schema?.comment === marker) return;
      const [used] = await transaction`
        select 1 from pg_class join pg_namespace on pg_namespace.oid = relnamespace
        where nspname not in ('pg_catalog', 'information_schema') and nspname !~ '^pg_' limit 1`;
      if (schema || used)
        throw new RolecallError(
          'forbidden',
          'this database is neither empty nor one that dev used before: make a new one for development',
        );
      await transaction`create schema rolecall`;
      await transaction.unsafe(`comment on schema rolecall is '${marker}'`);
    }),
  );
  return { url, location: 'the database named', stop: async () => {} };
}

function readUrl(url: string): URL {
  if (!/^postgres(ql)?:\/\//.test(url) || !URL.canParse(url))
    throw new RolecallError(
      'invalid_input',
      'Rolecall runs on PostgreSQL only: postgres://user:password@localhost/name',
    );
  return new URL(url);
}

async function connected<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, connect_timeout: 10, onnotice: () => {} });
  try {
    return await work(sql);
  } finally {
    await sql.end({ timeout: 5 });
  }
}
