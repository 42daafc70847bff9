/**
 * Watches every table of ours from below the service, and holds what was changed to what the journal says was: for each
 * transaction the same entries, about the same users, roles and permissions, no more and no less (D-04).
 */
import postgres from 'postgres';
import { createTestDatabase, type TestDatabase } from './database.ts';

/** What of a row says which entry its change has; undefined for a change that has none. */
type EntryOf = (change: Change) => string | undefined;

interface Change {
  readonly txid: string;
  readonly table: string;
  readonly op: 'INSERT' | 'UPDATE' | 'DELETE';
  readonly before: Row | null;
  readonly after: Row | null;
}

type Row = Readonly<Record<string, unknown>>;

/** Not part of the state: the record itself, and what is kept beside it. */
const besides = [
  'journal',
  'personal',
  'idempotency',
  'revision',
  'denials',
  'migrations',
  'identity_mappings',
];

const setOrRemoved =
  (noun: string): EntryOf =>
  ({ op }) =>
    `${noun}_${op === 'DELETE' ? 'removed' : 'set'}`;
const lifecycle =
  (noun: string): EntryOf =>
  ({ op }) =>
    `${noun}_${{ INSERT: 'created', UPDATE: 'updated', DELETE: 'deleted' }[op]}`;

const entryOf: Readonly<Record<string, EntryOf>> = {
  users: lifecycle('user'),
  roles: lifecycle('role'),
  // Which token's claims were applied last is no change of what anybody may do.
  identities: ({ op }) => ({ INSERT: 'identity_linked', UPDATE: undefined, DELETE: 'identity_unlinked' })[op],
  mappings: ({ op }) => (op === 'DELETE' ? 'mapping_removed' : 'mapping_created'),
  user_roles: setOrRemoved('grant'),
  user_permissions: setOrRemoved('exception'),
  role_includes: setOrRemoved('include'),
  role_permissions: setOrRemoved('edge'),
  permissions({ op, before, after }) {
    if (op === 'INSERT') return 'permission_registered';
    // A matrix that declares what was registered beside it takes it over, and tells that as a registration.
    if (before?.['declared_in'] !== after?.['declared_in'] && after?.['declared_in'] !== null)
      return 'permission_registered';
    if (before?.['retired_at'] === after?.['retired_at']) return 'permission_updated';
    return after?.['retired_at'] === null ? 'permission_registered' : 'permission_retired';
  },
  epochs: () => 'epoch_began',
  settings: () => 'setting_changed',
};

/** Entries that are no change of one row. */
const withoutRow = ['user_erased', 'personal_purged', 'schema_changed', 'layer_applied', 'layer_removed'];

export interface Compared {
  /** Rows that were changed. */
  readonly changes: number;
  readonly missing: readonly string[];
  readonly extra: readonly string[];
}

export interface Watch {
  /** What the journal lacks and what it has besides; both empty if it is complete. */
  compare(): Promise<Compared>;
  /** Throws unless it is complete. */
  requireComplete(): Promise<void>;
}

/** Begins to watch what connections of the service change; what tests do past it is their own business. */
export async function watchChanges(url: string): Promise<Watch> {
  await connected(url, (sql) => sql.unsafe(installation));
  const compare = () => connected(url, compareAll);
  return {
    compare,
    async requireComplete() {
      const { missing, extra } = await compare();
      if (missing.length + extra.length === 0) return;
      const named = (entries: readonly string[]) => entries.join(', ') || 'nothing';
      throw new Error(`the journal lacks ${named(missing)}, and has ${named(extra)} besides (D-04)`);
    },
  };
}

/** A migrated database of the test's own that can only be dropped without complaint if the journal is complete. */
export async function createWatchedDatabase(): Promise<TestDatabase> {
  const database = await createTestDatabase();
  const watch = await watchChanges(database.url);
  return {
    url: database.url,
    async drop() {
      try {
        await watch.requireComplete();
      } finally {
        await database.drop();
      }
    },
  };
}

async function connected<T>(url: string, work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  try {
    return await work(sql);
  } finally {
    await sql.end();
  }
}

const installation = `
    create schema shadow;
    create table shadow.changes (number bigint generated always as identity, txid xid8 not null, "table" text not null,
      op text not null, before jsonb, after jsonb);
    create function shadow.note() returns trigger language plpgsql security definer as $body$
    begin
      if current_setting('application_name') = 'rolecall' then
        insert into shadow.changes (txid, "table", op, before, after) values (pg_current_xact_id(), tg_table_name, tg_op,
          case when tg_op <> 'INSERT' then to_jsonb(old) end, case when tg_op <> 'DELETE' then to_jsonb(new) end);
      end if;
      return null;
    end $body$;
    do $body$ declare name text; begin
      for name in select relname from pg_class where relnamespace = 'rolecall'::regnamespace and relkind = 'r'
        and relname not in ('personal', 'idempotency', 'revision', 'denials', 'migrations') loop
        execute format('create trigger shadow after insert or update or delete on rolecall.%I
          for each row execute function shadow.note()', name);
      end loop;
    end $body$`;

/** Transaction by transaction, for a long test makes more changes than are held in memory. */
async function compareAll(sql: postgres.Sql): Promise<Compared> {
  const found = { changes: 0, missing: [] as string[], extra: [] as string[] };
  let transaction: Change[] = [];
  function settle(): void {
    const { missing, extra } = compareOne(transaction);
    found.missing.push(...missing);
    found.extra.push(...extra);
    found.changes += transaction.filter(({ table }) => !besides.includes(table)).length;
    transaction = [];
  }
  const changes = sql<Change[]>`
    select txid::text, "table", op, before, after from shadow.changes order by txid, number`;
  for await (const some of changes.cursor(1_000))
    for (const change of some) {
      if (transaction.length > 0 && transaction[0]?.txid !== change.txid) settle();
      transaction.push(change);
    }
  settle();
  return found;
}

function compareOne(changes: readonly Change[]): { missing: readonly string[]; extra: readonly string[] } {
  const told = changes.flatMap(({ table, after }) => (table === 'journal' && after ? [toldOf(after)] : []));
  const due = changes.flatMap((change) => dueOf(change));
  const keys = changes.filter(({ table }) => table === 'api_keys');
  const others = changes.filter(
    ({ table }) => !besides.includes(table) && !(table in entryOf) && table !== 'api_keys',
  );
  const missing = without(due, told);
  const extra = without(told, due).filter((entry) => !withoutRow.includes(entry.split(' ')[0] ?? ''));
  const isKey = (entry: string) => entry.startsWith('key_');
  const untold = [...keys, ...others].some(({ table }) => table !== 'api_keys') && told.length === 0;
  return {
    missing: [
      ...missing,
      ...(keys.some(isTold) && !told.some(isKey) ? ['key_…'] : []),
      ...(untold ? others.map(({ table }) => `a change of ${table}`) : []),
    ],
    extra: extra.filter((entry) => !(isKey(entry) && keys.length > 0) && others.length === 0),
  };
}

/** When a key was last used is no change. */
function isTold({ before, after }: Change): boolean {
  const lasting = (row: Row | null) =>
    JSON.stringify(Object.entries(row ?? {}).filter(([name]) => !name.startsWith('last_used')));
  return lasting(before) !== lasting(after);
}

function dueOf(change: Change): string[] {
  const kind = entryOf[change.table]?.(change);
  if (kind === undefined) return [];
  const row = (change.after ?? change.before) as Row;
  const own = (table: string, column: string) => (change.table === table ? row['pk'] : row[column]) ?? '-';
  return [
    `${kind} ${own('users', 'user_pk')} ${own('roles', 'role_pk')} ${own('permissions', 'permission_pk')}`,
  ];
}

function toldOf(entry: Row): string {
  const key = (column: string) => entry[column] ?? '-';
  return `${entry['kind']} ${key('user_pk')} ${key('role_pk')} ${key('permission_pk')}`;
}

/** What is left of some when others are taken away, each once. */
function without(some: readonly string[], others: readonly string[]): string[] {
  const left = [...others];
  return some.filter((one) => {
    const place = left.indexOf(one);
    if (place !== -1) left.splice(place, 1);
    return place === -1;
  });
}
