import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import postgres from 'postgres';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type CatalogObject,
  describeCatalog,
  parseCatalog,
  printCatalog,
} from '../../src/storage/migrations/catalog.ts';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { createEmptyDatabase, type TestDatabase } from '../support/database.ts';

const folder = fileURLToPath(new URL('../../drizzle/catalog/', import.meta.url));

let database: TestDatabase;
let sql: postgres.Sql;
beforeAll(async () => {
  database = await createEmptyDatabase();
  sql = postgres(database.url, { max: 1, onnotice: () => {} });
});
afterAll(async () => {
  await sql.end();
  await database.drop();
});

const describeLive = () => sql.begin(describeCatalog) as Promise<readonly CatalogObject[]>;

test('what is there after each step is what its description says (1.5, 1.6)', async () => {
  const steps = await readSteps();
  for (const [index, { name }] of steps.entries()) {
    await migrateUp({ url: database.url, steps: steps.slice(0, index + 1) });
    await expect(printCatalog(await describeLive())).toMatchFileSnapshot(join(folder, `${name}.txt`));
  }
  const described = (await readdir(folder)).filter((file) => !file.endsWith('.roles.txt')).sort();
  expect(described).toEqual(steps.map(({ name }) => `${name}.txt`));
});

test('a description that was printed is read as it was', async () => {
  const live = await describeLive();
  expect(live.length).toBeGreaterThan(100);
  expect(parseCatalog(printCatalog(live))).toEqual(live);
});
