/**
 * Writes that come together, each doing something else: done, refused, failing in the server, too late, cut off. What they
 * were told is held to what stands afterwards.
 */
import fc from 'fast-check';
import postgres from 'postgres';
import type { RolecallError } from '../../src/domain/errors.ts';
import type { UserId } from '../../src/domain/ids.ts';
import { seesEverything } from '../../src/domain/sight.ts';
import { verifyChain } from '../../src/storage/chain.ts';
import type { WriteContext } from '../../src/storage/transaction.ts';
import type { Asked } from '../../src/storage/write-series.ts';
import { testJournalKey } from './runtime.ts';

/** What one write does with the user that it makes. */
const deeds = [
  ...['make', 'make', 'make', 'make', 'change nothing'],
  ...['refuse', 'refuse', 'make and fail in the server', 'send along what fails'],
  ...['lose a race', 'be late', 'lose the connection', 'make alone', 'only try', 'make with a key'],
] as const;
type Deed = (typeof deeds)[number];

/** The modules that are asked, of the sources or of a broken build. */
export interface Build {
  readonly openDatabase: typeof import('../../src/storage/database.ts').openDatabase;
  readonly openTransactions: typeof import('../../src/storage/transaction.ts').openTransactions;
  readonly openWriteSeries: typeof import('../../src/storage/write-series.ts').openWriteSeries;
  readonly insertUser: typeof import('../../src/storage/users.ts').insertUser;
  readonly RolecallError: typeof RolecallError;
}

/** Always drawn alike from one seed. */
export function drawRounds(rounds: number, seed: number): readonly (readonly Deed[])[] {
  const sizes = { minLength: 12, maxLength: 24 };
  const calm = fc.constantFrom<Deed>('make', 'make', 'make', 'change nothing', 'refuse');
  const round = fc.oneof(fc.array(calm, sizes), fc.array(fc.constantFrom(...deeds), sizes));
  return fc.sample(round, { seed, numRuns: rounds });
}

interface Done {
  readonly id: string;
  readonly deed: Deed;
  /** `done`, or the code of the error. */
  readonly outcome: string;
  readonly revision: number;
  /** How many users it saw. */
  readonly saw: number;
}

/** How often how many writes of those that were done had one COMMIT in common, by how many they were. */
export type Sharing = Map<number, number>;

/** Lets them all write, round by round. Throws at the first that was told what is not so. */
export async function holdSharedWrites(
  { openDatabase, openTransactions, openWriteSeries, insertUser, RolecallError }: Build,
  url: string,
  rounds: readonly (readonly Deed[])[],
): Promise<Sharing> {
  const options = { url, poolSize: 4, connectTimeoutMs: 5_000, statementTimeoutMs: 20_000 };
  const database = openDatabase(options);
  const transactions = openTransactions(database, testJournalKey);
  const admin = postgres(url, { max: 1, onnotice: () => {} });
  const sharing: Sharing = new Map();
  const now = () => performance.now();

  interface Ask {
    readonly deed: Deed;
    readonly id: string;
    attempts: number;
    /** How many users it saw. */
    saw: number;
  }

  async function changeAll(asked: readonly Asked<Ask>[]): Promise<readonly (string | RolecallError)[]> {
    const done: (string | RolecallError)[] = [];
    for (const { ask, handle } of asked) {
      const { deed, id } = ask;
      const { sql } = handle;
      ask.attempts += 1;
      done.push(deed === 'refuse' ? new RolecallError('role_in_use', 'no') : id);
      if (deed === 'refuse') continue;
      const [seen] = await sql<{ count: number }[]>`select count(*)::int as count from rolecall.users`;
      ask.saw = seen?.count ?? -1;
      if (deed === 'change nothing') continue;
      const { pk } = await insertUser(handle, { id: id as UserId, email: null, active: true });
      handle.record({ kind: 'user_created', userPk: pk, after: { active: true }, personal: { id } });
      if (deed === 'make and fail in the server') await sql`select 1 / 0`;
      if (deed === 'send along what fails')
        handle.sendAlong(sql`insert into rolecall.users (id) values (${id})`);
      if (deed === 'be late') await sql`select pg_sleep(0.1)`;
      if (ask.attempts > 1) continue;
      if (deed === 'lose a race') await sql`select case when true then rolecall_test.fail('40001') end`;
      if (deed === 'lose the connection')
        await sql`select pg_terminate_backend(pg_backend_pid()), pg_sleep(5)`;
    }
    return done;
  }
  const join = openWriteSeries(transactions, changeAll, ({ id }: Ask) => id);

  async function perform(deed: Deed, id: string): Promise<Done> {
    const ask: Ask = { deed, id, attempts: 0, saw: -1 };
    const context: WriteContext = {
      actor: { kind: 'operator' },
      requestId: id,
      deadline: now() + (deed === 'be late' ? 50 : 20_000),
      dryRun: deed === 'only try',
      sight: seesEverything,
      idempotency:
        deed === 'make with a key'
          ? { credential: 'key:1', key: id, fingerprint: Buffer.alloc(32, 1) }
          : null,
    };
    const writing =
      deed === 'make alone'
        ? transactions.write(context, (handle) => changeAll([{ ask, handle }]))
        : join(context, ask);
    return writing.then(
      ({ revision }) => ({
        ...{ id, deed, outcome: 'done', saw: ask.saw },
        revision: Number(revision.split('-')[1]),
      }),
      ({ code }: RolecallError) => ({ id, deed, outcome: code, revision: -1, saw: ask.saw }),
    );
  }

  async function stands(): Promise<Map<string, { revision: number; commit: string }>> {
    const rows = await admin<{ id: string; revision: number; commit: string }[]>`
      select id, revision::int, txid::text as commit
      from rolecall.users left join rolecall.journal on journal.user_pk = users.pk and kind = 'user_created'
      left join rolecall_test.commits on commits.user_pk = users.pk`;
    return new Map(rows.map(({ id, ...rest }) => [id, rest]));
  }

  try {
    await admin.unsafe(installation);
    for (const [number, round] of rounds.entries()) {
      const before = (await stands()).size;
      const done = await Promise.all(round.map((deed, index) => perform(deed, `r${number}-${index}`)));
      const after = await stands();
      for (const one of done) requireTrue(one, after.get(one.id));
      const kept = [...after].filter(([id]) => id.startsWith(`r${number}-`));
      for (const { id, deed, outcome, revision, saw } of done)
        if (outcome === 'done' && deed !== 'only try') {
          const earlier = kept.filter(([, at]) => at.revision <= revision).length - (after.has(id) ? 1 : 0);
          if (saw !== before + earlier)
            throw new Error(`${deed} ${id} saw ${saw} users, not the ${before + earlier} before it`);
        }
      const commits = new Map<string, number>();
      for (const [, { commit }] of kept) commits.set(commit, (commits.get(commit) ?? 0) + 1);
      for (const size of commits.values()) sharing.set(size, (sharing.get(size) ?? 0) + 1);
    }
    await requireWhole(admin);
    return sharing;
  } finally {
    await database.close();
    await admin.end();
  }
}

function requireTrue({ id, deed, outcome, revision }: Done, there: { revision: number } | undefined): void {
  const mayBe: Readonly<Record<Deed, readonly string[]>> = {
    make: ['done'],
    'make alone': ['done'],
    'make with a key': ['done'],
    'change nothing': ['done'],
    'only try': ['done'],
    refuse: ['role_in_use'],
    'make and fail in the server': ['internal'],
    'send along what fails': ['user_exists'],
    'lose a race': ['done'],
    'be late': ['unavailable', 'outcome_unknown'],
    'lose the connection': ['done'],
  };
  // Whoever comes again and again at the wrong moment, and whoever's COMMIT was cut off by another, is told so.
  const misfortune = ['unavailable', 'outcome_unknown'];
  if (![...mayBe[deed], ...misfortune].includes(outcome))
    throw new Error(`${deed} ${id} was told ${outcome}`);
  const makes = !['change nothing', 'only try'].includes(deed);
  const isKept = there !== undefined;
  if (outcome === 'outcome_unknown') return;
  if (isKept !== (outcome === 'done' && makes))
    throw new Error(`${deed} ${id} was told ${outcome}, and is ${isKept ? '' : 'not '}there`);
  if (there && there.revision !== revision)
    throw new Error(`${deed} ${id} was told revision ${revision}, and has ${there.revision}`);
}

/** The chain is whole, and its revisions have no gap. */
async function requireWhole(admin: postgres.Sql): Promise<void> {
  const state = await admin.begin('isolation level repeatable read', (sql) =>
    verifyChain(sql, testJournalKey),
  );
  if (state.broken !== null || !state.ended) throw new Error(`the journal is broken: ${state.broken}`);
  const [row] = await admin<{ gaps: number }[]>`
    select ((select value from rolecall.revision) - count(distinct revision))::int as gaps from rolecall.journal`;
  if (row?.gaps !== 0) throw new Error(`the journal lacks ${row?.gaps} revisions`);
}

/** A function that fails as it is told, and a record of which transaction made which user. */
const installation = `
  create schema rolecall_test;
  grant usage on schema rolecall_test to public;
  create function rolecall_test.fail(state text) returns void language plpgsql as $body$
    begin raise exception 'made to fail' using errcode = state; end $body$;
  create table rolecall_test.commits (user_pk bigint, txid xid8);
  grant all on rolecall_test.commits to public;
  create function rolecall_test.note() returns trigger language plpgsql as $body$
    begin insert into rolecall_test.commits values (new.pk, pg_current_xact_id()); return null; end $body$;
  create trigger note after insert on rolecall.users for each row execute function rolecall_test.note()`;
