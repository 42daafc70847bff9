import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { type CatalogObject, describeCatalog, printCatalog } from '../../src/storage/migrations/catalog.ts';
import { readSteps, type Step, shippedSteps } from '../../src/storage/migrations/steps.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { createEmptyDatabase } from './database.ts';

/** Both ways of a step. */
export type Ways = readonly [up: string, down: string];

/** A folder of steps of the test's own: those of this release and more after them. */
export interface Workshop {
  readonly folder: string;
  add(steps: Readonly<Record<string, Ways>>): Promise<void>;
  /** Writes what is there after each step, as `npm run db:describe` does. */
  describe(): Promise<void>;
  steps(): Promise<readonly Step[]>;
  remove(): Promise<void>;
}

export async function openWorkshop(more: Readonly<Record<string, Ways>> = {}): Promise<Workshop> {
  const folder = await mkdtemp(join(tmpdir(), 'rolecall-workshop-test-'));
  for (const file of (await readdir(shippedSteps)).filter((name) => name.endsWith('.sql')))
    await cp(join(shippedSteps, file), join(folder, file));
  await cp(join(shippedSteps, 'catalog'), join(folder, 'catalog'), { recursive: true });
  const workshop: Workshop = {
    folder,
    async add(steps) {
      for (const [name, [up, down]] of Object.entries(steps)) {
        await writeFile(join(folder, `${name}.sql`), up);
        await writeFile(join(folder, `${name}.down.sql`), down);
      }
    },
    async describe() {
      await mkdir(join(folder, 'catalog'), { recursive: true });
      const database = await createEmptyDatabase();
      const sql = postgres(database.url, { max: 1, onnotice: () => {} });
      const steps = await readSteps(folder);
      for (const [index, { name }] of steps.entries()) {
        await migrateUp({ url: database.url, steps: steps.slice(0, index + 1) });
        await writeFile(join(folder, 'catalog', `${name}.txt`), printCatalog(await liveCatalog(sql)));
      }
      await sql.end();
      await database.drop();
    },
    steps: () => readSteps(folder),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
  await workshop.add(more);
  return workshop;
}

export function liveCatalog(sql: postgres.Sql): Promise<readonly CatalogObject[]> {
  return sql.begin(describeCatalog) as Promise<readonly CatalogObject[]>;
}

/** Every row of schema `rolecall`, and where its sequences stand; without the ledger and what steps record of themselves. */
export async function liveRows(sql: postgres.Sql): Promise<Record<string, unknown>> {
  const tables = await sql<{ name: string; relkind: string }[]>`
    select format('%I.%I', nspname, relname) as name, relkind
    from pg_class join pg_namespace on pg_namespace.oid = relnamespace
    where relkind in ('r', 'S') and nspname = 'rolecall' order by 1`;
  const found: Record<string, unknown> = {};
  for (const { name, relkind } of tables)
    found[name] = [
      ...(await (relkind === 'S'
        ? sql.unsafe(`select last_value, is_called from ${name}`)
        : sql.unsafe(
            `select to_jsonb(t) as row from ${name} t where ${kept[name] ?? 'true'} order by to_jsonb(t)`,
          ))),
    ];
  return found;
}

const kept: Readonly<Record<string, string>> = {
  'rolecall.migrations': 'false',
  'rolecall.revision': 'false',
  'rolecall.journal': "kind not in ('schema_changed', 'epoch_began')",
  // Tables that were made anew begin an epoch: they might have come from a dump.
  'rolecall.epochs': 'began_at_revision = 0',
};

const { length: shippedCount } = await readSteps();

/**
 * The name of the `nth` step after those of this release, or its number alone: steps of tests go on where ours end,
 * wherever that is. The newest of this release is number 0.
 */
export function later(nth: number, what?: string): string {
  const number = String(shippedCount - 1 + nth).padStart(4, '0');
  return what === undefined ? number : `${number}_${what}`;
}

/** Steps of every kind that there may be after those of this release. */
export const furtherSteps: Readonly<Record<string, Ways>> = {
  [later(1, 'add_nickname_to_users')]: [
    `ALTER TABLE "rolecall"."users" ADD COLUMN "nickname" text COLLATE "C";`,
    `ALTER TABLE "rolecall"."users" DROP COLUMN "nickname";`,
  ],
  [later(2, 'create_teams')]: [
    `CREATE TABLE "rolecall"."teams" (
	"pk" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
	"name" text NOT NULL,
	"size" integer DEFAULT 0 NOT NULL,
	"label" text GENERATED ALWAYS AS (upper("name")) STORED,
	CONSTRAINT "teams_name_key" UNIQUE("name")
);
CREATE TABLE "rolecall"."team_members" (
	"team_pk" bigint NOT NULL REFERENCES "rolecall"."teams"("pk"),
	"user_pk" bigint NOT NULL REFERENCES "rolecall"."users"("pk"),
	CONSTRAINT "team_members_pkey" PRIMARY KEY("team_pk","user_pk")
);
-- Everybody needs one; a semicolon in a text ends nothing.
INSERT INTO "rolecall"."teams" ("name") VALUES ('everybody; nobody'), ('it''s us');`,
    `DROP TABLE "rolecall"."team_members"; DROP TABLE "rolecall"."teams";`,
  ],
  [later(3, 'index_users_by_nickname')]: [
    `-- rolecall: no transaction
CREATE INDEX CONCURRENTLY "users_nickname_index" ON "rolecall"."users" USING btree ("nickname");`,
    `-- rolecall: no transaction
DROP INDEX CONCURRENTLY "rolecall"."users_nickname_index";`,
  ],
  [later(4, 'protect_teams')]: [
    `CREATE TYPE "rolecall"."team_kind" AS ENUM ('closed', 'open');
ALTER TABLE "rolecall"."teams" ADD COLUMN "kind" "rolecall"."team_kind" DEFAULT 'open' NOT NULL;
CREATE FUNCTION "rolecall"."count_member"() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $body$
BEGIN
	UPDATE rolecall.teams SET size = size + 1 WHERE pk = NEW.team_pk; -- one more
	RETURN NEW;
END $body$;
REVOKE ALL ON FUNCTION "rolecall"."count_member"() FROM PUBLIC;
CREATE TRIGGER "team_members_counted" AFTER INSERT ON "rolecall"."team_members" FOR EACH ROW EXECUTE FUNCTION "rolecall"."count_member"();
ALTER TABLE "rolecall"."teams" ENABLE ROW LEVEL SECURITY;
CREATE POLICY "teams_open" ON "rolecall"."teams" FOR SELECT TO PUBLIC USING ("kind" = 'open');
GRANT SELECT ("name"), UPDATE ("size") ON "rolecall"."teams" TO PUBLIC;
CREATE VIEW "rolecall"."open_teams" AS SELECT "name" FROM "rolecall"."teams" WHERE "kind" = 'open';`,
    `DROP VIEW "rolecall"."open_teams";
REVOKE SELECT ("name"), UPDATE ("size") ON "rolecall"."teams" FROM PUBLIC;
DROP POLICY "teams_open" ON "rolecall"."teams";
ALTER TABLE "rolecall"."teams" DISABLE ROW LEVEL SECURITY;
DROP TRIGGER "team_members_counted" ON "rolecall"."team_members";
DROP FUNCTION "rolecall"."count_member"();
ALTER TABLE "rolecall"."teams" DROP COLUMN "kind";
DROP TYPE "rolecall"."team_kind";`,
  ],
};
