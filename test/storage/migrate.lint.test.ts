import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type LintRule, lintSteps } from '../../src/storage/migrations/lint.ts';
import { shippedSteps } from '../../src/storage/migrations/steps.ts';
import { furtherSteps, openWorkshop, type Workshop } from '../support/steps.ts';

let workshop: Workshop;
beforeEach(async () => {
  workshop = await openWorkshop();
});
afterEach(() => workshop.remove());

const up = 'CREATE TABLE rolecall.teams (name text)';
const down = 'DROP TABLE rolecall.teams';
const outside = '-- rolecall: no transaction\n';
const build = 'CREATE INDEX CONCURRENTLY teams_name_index ON rolecall.teams (name)';

/** A file that breaks each rule, and no other, at the end of its way up, or down. */
const fixtures: readonly (readonly [rule: LintRule, name: string, up: string, down?: string])[] = [
  ['name', '0001_stuff', up],
  ['name', '0001_loud_wolverine', up],
  ['name', '0001_update', up],
  ['name', '0001_Add_Teams', up],
  ['number', '0003_create_teams', up],
  ['number', '0000_create_teams', up],
  ['both-ways', '0001_create_teams', up, '-- nothing'],
  ['both-ways', '0001_create_teams', '-- nothing'],
  ['no-cascade', '0001_create_teams', up, 'DROP TABLE rolecall.teams CASCADE'],
  ['no-cascade', '0001_create_teams', `${up}; ALTER TABLE rolecall.teams DROP COLUMN name CASCADE`],
  [
    'no-cascade',
    '0001_create_teams',
    'CREATE TABLE rolecall.teams (pk bigint REFERENCES rolecall.users ON DELETE CASCADE)',
  ],
  ['no-maybe', '0001_create_teams', 'CREATE TABLE IF NOT EXISTS rolecall.teams (name text)'],
  ['no-maybe', '0001_create_teams', up, 'DROP TABLE IF EXISTS rolecall.teams'],
  ['no-transaction-control', '0001_create_teams', `${up}; COMMIT`],
  ['no-transaction-control', '0001_create_teams', `${up}; begin`],
  ['own-schema', '0001_create_teams', 'CREATE TABLE teams (name text)'],
  ['own-schema', '0001_create_teams', 'CREATE TABLE "public"."teams" (name text)'],
  ['own-schema', '0001_create_teams', `${up}; UPDATE auth_user SET name = ''`],
  ['outside-transaction', '0001_index_teams', build],
  ['outside-transaction', '0001_index_teams', `${outside}${build}; ${build}`],
  ['outside-transaction', '0001_index_teams', `${outside}${up}`],
  ['outside-transaction', '0001_index_teams', `${outside}CREATE INDEX CONCURRENTLY ON rolecall.teams (name)`],
  ['index-concurrently', '0001_index_users', 'CREATE INDEX users_active_index ON rolecall.users (active)'],
  [
    'index-concurrently',
    '0001_index_users',
    'CREATE UNIQUE INDEX "users_active_index" ON "rolecall"."users" ("active")',
  ],
  [
    'constraint-not-valid',
    '0001_limit_users',
    'ALTER TABLE rolecall.users ADD CONSTRAINT users_odd CHECK (pk % 2 = 1)',
  ],
  [
    'constraint-not-valid',
    '0001_limit_users',
    'ALTER TABLE rolecall.users ADD CONSTRAINT users_pair FOREIGN KEY (pk) REFERENCES rolecall.users (pk)',
  ],
  ['no-pass-under-lock', '0001_change_users', 'ALTER TABLE rolecall.users ALTER COLUMN active TYPE text'],
  ['no-pass-under-lock', '0001_change_users', 'ALTER TABLE rolecall.users ALTER COLUMN email SET NOT NULL'],
  [
    'no-pass-under-lock',
    '0001_change_users',
    'ALTER TABLE rolecall.users ADD COLUMN token uuid DEFAULT gen_random_uuid()',
  ],
  [
    'no-pass-under-lock',
    '0001_change_users',
    'ALTER TABLE rolecall.users ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY',
  ],
  [
    'no-pass-under-lock',
    '0001_change_users',
    'ALTER TABLE rolecall.users ADD CONSTRAINT users_one UNIQUE (active)',
  ],
  ['no-rename', '0001_change_users', 'ALTER TABLE rolecall.users RENAME COLUMN email TO mail'],
  ['no-rename', '0001_change_users', 'ALTER TABLE rolecall.users RENAME TO people'],
];

test.each(fixtures)(
  '%s is the rule that %s breaks (3.7)',
  async (rule, name = '', goesUp = '', goesDown = down) => {
    await workshop.add({ [name]: [goesUp, goesDown] });
    const faults = (await lintSteps(workshop.folder)).filter((fault) => fault.rule !== 'described');
    expect([...new Set(faults.map((fault) => fault.rule))]).toEqual([rule]);
    expect(faults.every(({ file }) => file.startsWith('000'))).toBe(true);
  },
);

test('a step without a way down, a way down without a step, and a step that nobody described are named', async () => {
  await workshop.add({ '0001_create_teams': [up, down], '0002_create_games': [up, down] });
  await rm(join(workshop.folder, '0001_create_teams.down.sql'));
  await rm(join(workshop.folder, '0002_create_games.sql'));
  const found = (await lintSteps(workshop.folder)).map(({ file, rule }) => [file, rule]);
  expect(found).toEqual([
    ['0001_create_teams.down.sql', 'both-ways'],
    ['0001_create_teams.sql', 'described'],
    ['0002_create_games.down.sql', 'both-ways'],
  ]);
});

test('the place is the line of the statement', async () => {
  await workshop.add({
    '0001_create_teams': [`-- one\n\n${up};\n\n  /* two\n */ UPDATE x SET a = ';';`, down],
  });
  expect(await lintSteps(workshop.folder)).toContainEqual(
    expect.objectContaining({ file: '0001_create_teams.sql', line: 6, rule: 'own-schema' }),
  );
});

test('what is good is left in peace: the steps of this release, safe ways on tables in use, words in texts and comments', async () => {
  expect(await lintSteps(shippedSteps)).toEqual([]);
  const safe = `
    -- DROP TABLE x CASCADE; COMMIT;
    ALTER TABLE rolecall.users ADD COLUMN note text DEFAULT 'IF EXISTS; COMMIT' NOT NULL;
    ALTER TABLE rolecall.users ADD CONSTRAINT users_odd CHECK (pk % 2 = 1) NOT VALID;
    CREATE FUNCTION rolecall.f() RETURNS void LANGUAGE sql AS $$ DROP TABLE x CASCADE; COMMIT; $$;
    CREATE TABLE rolecall.notes (pk bigint REFERENCES rolecall.users (pk));
    CREATE INDEX notes_index ON rolecall.notes (pk)`;
  await workshop.add({
    ...furtherSteps,
    '0005_add_notes': [safe, down],
    '0006_validate_odd': ['ALTER TABLE rolecall.users VALIDATE CONSTRAINT users_odd', 'SELECT 1'],
  });
  await workshop.describe().catch(() => {});
  for (const name of ['0005_add_notes', '0006_validate_odd'])
    await writeFile(join(workshop.folder, 'catalog', `${name}.txt`), '');
  expect(await lintSteps(workshop.folder)).toEqual([]);
});
