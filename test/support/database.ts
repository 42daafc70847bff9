import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import postgres from 'postgres';
import { inject } from 'vitest';
import { incarnation } from '../../src/storage/epochs.ts';
import type {} from './postgres.ts';
import { templateName } from './template.ts';

export interface TestDatabase {
  readonly url: string;
  /** Removes the database, cutting off whoever is still connected. */
  drop(): Promise<void>;
}

/** A migrated database of the test's own. */
export function createTestDatabase(): Promise<TestDatabase> {
  return createDatabase(templateName);
}

/**
 * A database of the test's own with nothing in it, for what must be tried before or without migrations. `locale` is what
 * CREATE DATABASE takes for one other than the server's.
 */
export function createEmptyDatabase(locale = ''): Promise<TestDatabase> {
  return createDatabase('template0', locale);
}

/** A copy of a migrated database that nobody is connected to. */
export function copyDatabase({ url }: TestDatabase): Promise<TestDatabase> {
  return createDatabase(new URL(url).pathname.slice(1));
}

async function createDatabase(template: string, locale = ''): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`;
  await asAdministrator((sql) => copyWhenUnused(sql, template, name, locale));
  const url = new URL(inject('postgresUrl'));
  url.pathname = `/${name}`;
  if (template !== 'template0') await pretendItWasMadeHere(url.href);
  return {
    url: url.href,
    drop: () => asAdministrator((sql) => sql`drop database if exists ${sql(name)} with (force)`),
  };
}

/** A copy would begin a new epoch with its first question, and every test would find one change more than it made. */
async function pretendItWasMadeHere(url: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    await sql`update rolecall.epochs set incarnation = ${incarnation(sql)}`;
  } finally {
    await sql.end();
  }
}

async function copyWhenUnused(
  sql: postgres.Sql,
  template: string,
  name: string,
  locale: string,
): Promise<void> {
  const deadline = Date.now() + 30_000;
  for (;;) {
    try {
      await sql`create database ${sql(name)} template ${sql(template)} ${sql.unsafe(locale)}`;
      return;
    } catch (error) {
      const inUse = error instanceof postgres.PostgresError && error.code === '55006';
      if (!inUse || Date.now() > deadline) throw error;
      await sleep(50);
    }
  }
}

async function asAdministrator(work: (sql: postgres.Sql) => Promise<unknown>): Promise<void> {
  const sql = postgres(inject('postgresUrl'), { max: 1, onnotice: () => {} });
  try {
    await work(sql);
  } finally {
    await sql.end();
  }
}
