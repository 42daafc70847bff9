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
import { findDrift } from '../../src/storage/migrations/drift.ts';
import { readSteps } from '../../src/storage/migrations/steps.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { installRowLevel } from '../../src/storage/row-level/install.ts';
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

test('what the roles of the row-level kit are granted besides is what its description says (1.10)', async () => {
  const before = new Set((await describeLive()).map(({ name }) => name));
  const undone = new Error('undone');
  let besides: readonly CatalogObject[] = [];
  await sql
    .begin(async (transaction) => {
      await installRowLevel(transaction);
      besides = (await describeCatalog(transaction)).filter(({ name }) => !before.has(name));
      throw undone;
    })
    .catch((error: unknown) => expect(error).toBe(undone));
  const [newest] = (await readSteps()).slice(-1);
  await expect(printCatalog(besides)).toMatchFileSnapshot(join(folder, `${newest?.name}.roles.txt`));
  expect(findDrift(await readSteps(), [...(await describeLive()), ...besides])).toEqual([]);
});

test('a description that was printed is read as it was', async () => {
  const live = await describeLive();
  expect(live.length).toBeGreaterThan(100);
  expect(parseCatalog(printCatalog(live))).toEqual(live);
});
