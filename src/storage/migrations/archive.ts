import { RolecallError } from '../../domain/errors.ts';
import type { Sql } from '../database.ts';
import type { Loss } from './losses.ts';
import type { Step } from './steps.ts';
import {
  columnsOf,
  primaryKeyOf,
  type Reference,
  referencesOf,
  type Sequence,
  sequencesOf,
} from './table-shapes.ts';

/** The schema that keeps what ways down took away. Not ours to describe: it is gone once all of it came back. */
const archive = 'rolecall_archive';

/** What came back of one table, and how many rows did not, because what they hang on was closed meanwhile. */
export interface Restored {
  readonly table: string;
  readonly rows: number;
  readonly left: number;
}

interface Kept {
  readonly name: string;
  readonly table: string;
  /** Null for a whole table. */
  readonly columns: readonly string[] | null;
  readonly keys: readonly string[];
  readonly sequences: readonly Sequence[];
}

/**
 * Copies what the step's way down is about to drop. Returns what it kept, how many rows of what. Throws
 * `migration_refused` if there is no place to copy it to.
 */
export async function keepLosses(sql: Sql, step: Step, losses: readonly Loss[]): Promise<readonly string[]> {
  await openArchive(sql);
  const said: string[] = [];
  for (const { table, columns } of losses) {
    const keys = columns === null ? [] : await primaryKeyOf(sql, table);
    const kept: Kept = {
      name: `${step.name.slice(0, 4)}_${table}`,
      table,
      columns,
      keys,
      sequences: await sequencesOf(sql, table, columns),
    };
    const list = (await columnsOf(sql, table))
      .filter(({ name }) => columns === null || keys.includes(name) || columns.includes(name))
      // One of a type of our own, which may be dropped too, is kept as text.
      .map(({ name, own }) => (own ? sql`${sql(name)}::text as ${sql(name)}` : sql`${sql(name)}`))
      .reduce((a, b) => sql`${a}, ${b}`);
    const { count } =
      await sql`create table ${sql(`${archive}.${kept.name}`)} as select ${list} from ${sql(`rolecall.${table}`)}`;
    // What policies kept from somebody who may read every table, they keep from them here; the owner they let through.
    await sql`alter table ${sql(`${archive}.${kept.name}`)} enable row level security`;
    await sql`insert into ${sql(`${archive}.contents`)} (step, name, kept) values (${step.name}, ${kept.name}, ${JSON.stringify(kept)}::text::jsonb)`;
    said.push(`${count} rows of ${table}${columns === null ? '' : ` (${columns.join(', ')})`}`);
  }
  return said;
}

async function openArchive(sql: Sql): Promise<void> {
  const [place] = await sql<{ exists: boolean; allowed: boolean }[]>`
    select to_regnamespace(${archive}) is not null as exists, case when to_regnamespace(${archive}) is null
      then has_database_privilege(current_database(), 'CREATE')
      else has_schema_privilege(${archive}, 'CREATE') end as allowed`;
  if (!place?.allowed)
    throw new RolecallError(
      'migration_refused',
      `there is no place to keep what this would drop: let an administrator run \`create schema ${archive} authorization …\` for the user of DATABASE_URL, or say --destroy with --backup-ref`,
    );
  if (!place.exists) await sql`create schema ${sql(archive)}`;
  await sql`
    create table if not exists ${sql(`${archive}.contents`)}
      (step text not null, name text primary key, kept jsonb not null, kept_at timestamptz not null default now())`;
}

/** The steps that something is kept of. */
export async function keptSteps(sql: Sql): Promise<readonly string[]> {
  if (!(await archiveIsOpen(sql))) return [];
  const rows = await sql<{ step: string }[]>`select distinct step from ${sql(`${archive}.contents`)}`;
  return rows.map(({ step }) => step);
}

async function archiveIsOpen(sql: Sql): Promise<boolean> {
  const [there] = await sql<{ found: boolean }[]>`
    select to_regclass(${`${archive}.contents`}) is not null as found`;
  return there?.found ?? false;
}

/**
 * Puts back what an earlier way down of the step kept, in the place of what the step itself put there, and closes the
 * archive when it is empty. A row comes back only if everything it refers to is still there.
 */
export async function restoreKept(sql: Sql, step: Step): Promise<readonly Restored[]> {
  if (!(await archiveIsOpen(sql))) return [];
  const rows = await sql<{ kept: Kept }[]>`
    select kept from ${sql(`${archive}.contents`)} where step = ${step.name} order by name`;
  const references = await referencesOf(sql);
  const kept = parentsFirst(
    rows.map((row) => row.kept),
    references,
  );
  for (const { table, columns } of kept.toReversed())
    if (columns === null) await sql`delete from ${sql(`rolecall.${table}`)}`;
  const restored: Restored[] = [];
  for (const each of kept) restored.push(await restore(sql, step, each, references));
  await sql`delete from ${sql(`${archive}.contents`)} where step = ${step.name}`;
  await closeIfEmpty(sql);
  return restored;
}

async function restore(
  sql: Sql,
  step: Step,
  kept: Kept,
  references: readonly Reference[],
): Promise<Restored> {
  const source = sql(`${archive}.${kept.name}`);
  const target = sql(`rolecall.${kept.table}`);
  const columns = await columnsToRestore(sql, step, kept);
  const stands = references
    .filter(
      ({ from, to, columns: own }) =>
        from === kept.table &&
        to !== from &&
        own.every((name) => columns.some((column) => column.name === name)),
    )
    .map(({ to, columns: own, targets }) => {
      const isNull = own.map((name) => sql`kept.${sql(name)} is null`).reduce((a, b) => sql`${a} or ${b}`);
      const isSame = own
        .map((name, at) => sql`parent.${sql(targets[at] as string)} = kept.${sql(name)}`)
        .reduce((a, b) => sql`${a} and ${b}`);
      return sql`(${isNull} or exists (select from ${sql(`rolecall.${to}`)} parent where ${isSame}))`;
    })
    .reduce((a, b) => sql`${a} and ${b}`, sql`true`);
  const valueKept = ({ name, type }: Column) => sql`kept.${sql(name)}::${sql.unsafe(type)}`;
  const values = columns.map(valueKept).reduce((a, b) => sql`${a}, ${b}`);
  const names = sql(columns.map(({ name }) => name));
  const isSame = kept.keys
    .map((name) => sql`own.${sql(name)} = kept.${sql(name)}`)
    .reduce((a, b) => sql`${a} and ${b}`, sql`true`);
  const fill =
    kept.columns === null
      ? sql`insert into ${target} (${names}) overriding system value select ${values} from ${source} kept where ${stands}`
      : sql`update ${target} own set (${names}) = row(${values}) from ${source} kept where ${isSame} and ${stands}`;
  const [all] = await sql<{ rows: number }[]>`select count(*)::float8 as rows from ${source}`;
  // What triggers once did is among what was kept.
  await sql`alter table ${target} disable trigger user`;
  const { count } = await fill;
  await sql`alter table ${target} enable trigger user`;
  for (const { name, last, called } of kept.sequences)
    await sql`select setval(${name}, ${last}::bigint, ${called})`;
  await sql`drop table ${source}`;
  return { table: kept.table, rows: count, left: (all?.rows ?? 0) - count };
}

interface Column {
  readonly name: string;
  /** As PostgreSQL prints it. */
  readonly type: string;
}

/** Throws `migration_refused` if the step, edited since, no longer makes a column that was kept. */
async function columnsToRestore(sql: Sql, step: Step, kept: Kept): Promise<readonly Column[]> {
  const columns = await sql<(Column & { there: boolean; generated: boolean })[]>`
    select was.attname as name, own.attname is not null as there, own.attgenerated <> '' as generated,
      format_type(own.atttypid, own.atttypmod) as type
    from pg_attribute was left join pg_attribute own on own.attname = was.attname and not own.attisdropped
      and own.attrelid = to_regclass(${`rolecall.${kept.table}`})
    where was.attrelid = to_regclass(${`${archive}.${kept.name}`}) and was.attnum > 0 and not was.attisdropped order by was.attnum`;
  const gone = columns.find((column) => !column.there);
  if (gone)
    throw new RolecallError(
      'migration_refused',
      `${archive}.${kept.name} keeps ${kept.table}.${gone.name}, which ${step.name}.sql does not make: run the release that went down, or move the data by hand`,
    );
  return columns.filter(({ name, generated }) => !generated && !kept.keys.includes(name));
}

async function closeIfEmpty(sql: Sql): Promise<void> {
  const [left] = await sql`select 1 from ${sql(`${archive}.contents`)} limit 1`;
  if (left) return;
  await sql`drop table ${sql(`${archive}.contents`)}`;
  // One that somebody else made for us, or that we could not make again, stays.
  const [ours] = await sql`
    select 1 from pg_namespace where nspname = ${archive} and pg_get_userbyid(nspowner) = current_user
      and has_database_privilege(current_database(), 'CREATE')
      and not exists (select from pg_class where relnamespace = pg_namespace.oid)`;
  if (ours) await sql`drop schema ${sql(archive)}`;
}

function parentsFirst(kept: readonly Kept[], references: readonly Reference[]): readonly Kept[] {
  const placed: Kept[] = [];
  let waiting = kept;
  while (waiting.length > 0) {
    const waits = ({ table }: Kept) =>
      references.some(
        ({ from, to }) => from === table && to !== table && waiting.some((other) => other.table === to),
      );
    const ready = waiting.filter((each) => !waits(each));
    if (ready.length === 0)
      throw new RolecallError(
        'migration_refused',
        `these tables refer to each other in a circle: ${waiting.map(({ table }) => table).join(', ')}`,
      );
    placed.push(...ready);
    waiting = waiting.filter((each) => !ready.includes(each));
  }
  return placed;
}
