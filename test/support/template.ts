import postgres from 'postgres';
import { readMatrixFile, shippedBaseline } from '../../src/cli/matrix-files.ts';
import { operatorCall } from '../../src/services/call.ts';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { openTestRuntime } from './runtime.ts';

/** The database that every test's own is copied from: migrated, with the baseline applied and nobody in it. */
export const templateName = 'rolecall_template';

export async function prepareTemplate(serverUrl: string): Promise<void> {
  const sql = postgres(serverUrl, { max: 1, onnotice: () => {} });
  try {
    await sql`drop database if exists ${sql(templateName)}`;
    await sql`create database ${sql(templateName)}`;
  } finally {
    await sql.end();
  }
  const url = new URL(serverUrl);
  url.pathname = `/${templateName}`;
  await prepareDatabase(url.href);
}

/** Migrates an empty database and applies the baseline to it. */
export async function prepareDatabase(url: string): Promise<void> {
  await migrateUp({ url, steps: await readSteps() });
  const runtime = await openTestRuntime(url);
  await runtime.matrix.apply(operatorCall(60_000), [await readMatrixFile(shippedBaseline)]);
  await runtime.close();
}
