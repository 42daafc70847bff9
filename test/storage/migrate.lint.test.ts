import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type LintRule, lintSteps } from '../../src/storage/migrations/lint.ts';
import { shippedSteps } from '../../src/storage/migrations/steps.ts';
import { furtherSteps, later, openWorkshop, type Workshop } from '../support/steps.ts';

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
  ['name', later(1, 'stuff'), up],
  ['name', later(1, 'loud_wolverine'), up],
  ['name', later(1, 'update'), up],
  ['name', later(1, 'Add_Teams'), up],
  ['number', later(3, 'create_teams'), up],
  ['number', '0000_create_teams', up],
  ['both-ways', later(1, 'create_teams'), up, '-- nothing'],
  ['both-ways', later(1, 'create_teams'), '-- nothing'],
  ['no-cascade', later(1, 'create_teams'), up, 'DROP TABLE rolecall.teams CASCADE'],
  ['no-cascade', later(1, 'create_teams'), `${up}; ALTER TABLE rolecall.teams DROP COLUMN name CASCADE`],
  [
    'no-cascade',
    later(1, 'create_teams'),
    'CREATE TABLE rolecall.teams (pk bigint REFERENCES rolecall.users ON DELETE CASCADE)',
  ],
  ['no-maybe', later(1, 'create_teams'), 'CREATE TABLE IF NOT EXISTS rolecall.teams (name text)'],
  ['no-maybe', later(1, 'create_teams'), up, 'DROP TABLE IF EXISTS rolecall.teams'],
  ['no-transaction-control', later(1, 'create_teams'), `${up}; COMMIT`],
  ['no-transaction-control', later(1, 'create_teams'), `${up}; begin`],
  ['own-schema', later(1, 'create_teams'), 'CREATE TABLE teams (name text)'],
  ['own-schema', later(1, 'create_teams'), 'CREATE TABLE "public"."teams" (name text)'],
  ['own-schema', later(1, 'create_teams'), `${up}; UPDATE auth_user SET name = ''`],
  ['outside-transaction', later(1, 'index_teams'), build],
  ['outside-transaction', later(1, 'index_teams'), `${outside}${build}; ${build}`],
  ['outside-transaction', later(1, 'index_teams'), `${outside}${up}`],
  [
    'outside-transaction',
    later(1, 'index_teams'),
    `${outside}CREATE INDEX CONCURRENTLY ON rolecall.teams (name)`,
  ],
  [
    'index-concurrently',
    later(1, 'index_users'),
    'CREATE INDEX users_active_index ON rolecall.users (active)',
  ],
  [
    'index-concurrently',
    later(1, 'index_users'),
    'CREATE UNIQUE INDEX "users_active_index" ON "rolecall"."users" ("active")',
  ],
  [
    'constraint-not-valid',
    later(1, 'limit_users'),
    'ALTER TABLE rolecall.users ADD CONSTRAINT users_odd CHECK (pk % 2 = 1)',
  ],
  [
    'constraint-not-valid',
    later(1, 'limit_users'),
    'ALTER TABLE rolecall.users ADD CONSTRAINT users_pair FOREIGN KEY (pk) REFERENCES rolecall.users (pk)',
  ],
  [
    'no-pass-under-lock',
    later(1, 'change_users'),
    'ALTER TABLE rolecall.users ALTER COLUMN active TYPE text',
  ],
  [
    'no-pass-under-lock',
    later(1, 'change_users'),
    'ALTER TABLE rolecall.users ALTER COLUMN email SET NOT NULL',
  ],
  [
    'no-pass-under-lock',
    later(1, 'change_users'),
    'ALTER TABLE rolecall.users ADD COLUMN token uuid DEFAULT gen_random_uuid()',
  ],
  [
    'no-pass-under-lock',
    later(1, 'change_users'),
    'ALTER TABLE rolecall.users ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY',
  ],
  [
    'no-pass-under-lock',
    later(1, 'change_users'),
    'ALTER TABLE rolecall.users ADD CONSTRAINT users_one UNIQUE (active)',
  ],
  ['no-rename', later(1, 'change_users'), 'ALTER TABLE rolecall.users RENAME COLUMN email TO mail'],
  ['no-rename', later(1, 'change_users'), 'ALTER TABLE rolecall.users RENAME TO people'],
];

test.each(fixtures)(
  '%s is the rule that %s breaks (3.7)',
  async (rule, name = '', goesUp = '', goesDown = down) => {
    await workshop.add({ [name]: [goesUp, goesDown] });
    const faults = (await lintSteps(workshop.folder)).filter((fault) => fault.rule !== 'described');
    expect([...new Set(faults.map((fault) => fault.rule))]).toEqual([rule]);
    expect(faults.map(({ file }) => file.split('.')[0])).toContain(name);
  },
);

test('a step without a way down, a way down without a step, and a step that nobody described are named', async () => {
  await workshop.add({ [later(1, 'create_teams')]: [up, down], [later(2, 'create_games')]: [up, down] });
  await rm(join(workshop.folder, `${later(1, 'create_teams')}.down.sql`));
  await rm(join(workshop.folder, `${later(2, 'create_games')}.sql`));
  const found = (await lintSteps(workshop.folder)).map(({ file, rule }) => [file, rule]);
  expect(found).toEqual([
    [`${later(1, 'create_teams')}.down.sql`, 'both-ways'],
    [`${later(1, 'create_teams')}.sql`, 'described'],
    [`${later(2, 'create_games')}.down.sql`, 'both-ways'],
  ]);
});

test('the place is the line of the statement', async () => {
  await workshop.add({
    [later(1, 'create_teams')]: [`-- one\n\n${up};\n\n  /* two\n */ UPDATE x SET a = ';';`, down],
  });
  expect(await lintSteps(workshop.folder)).toContainEqual(
    expect.objectContaining({ file: `${later(1, 'create_teams')}.sql`, line: 6, rule: 'own-schema' }),
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
    [later(5, 'add_notes')]: [safe, down],
    [later(6, 'validate_odd')]: ['ALTER TABLE rolecall.users VALIDATE CONSTRAINT users_odd', 'SELECT 1'],
  });
  await workshop.describe().catch(() => {});
  for (const name of [later(5, 'add_notes'), later(6, 'validate_odd')])
    await writeFile(join(workshop.folder, 'catalog', `${name}.txt`), '');
  expect(await lintSteps(workshop.folder)).toEqual([]);
});
