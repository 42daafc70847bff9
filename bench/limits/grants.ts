/**
 * The most that PostgreSQL can do of what a grant writes: the same rows and the same update of the revision row, known
 * beforehand, in a single statement, so that the row is locked no longer than the commit takes.
 */
import { performance } from 'node:perf_hooks';
import postgres from 'postgres';
import { spareRole } from '../data.ts';
import type { Run } from '../rounds.ts';

const [databaseUrl = '', callers = ''] = process.argv.slice(2);
const sql = postgres(databaseUrl, { max: Number(callers), fetch_types: false });

const [known] = await sql<{ user: string; admin: string; role: string }[]>`
  select (select pk from rolecall.users where id = 'u0') as user,
    (select pk from rolecall.users where id = 'bench-admin') as admin,
    (select pk from rolecall.roles where key = ${spareRole}) as role`;
const { user: firstUser = '', admin = '', role = '' } = known ?? {};
const seal = Buffer.alloc(32, 7);
const terms = JSON.stringify({ role: spareRole, scope: '', origin: 'api', startsAt: null, expiresAt: null });
let granted = 0;

async function grant(): Promise<void> {
  const userPk = String(Number(firstUser) + granted);
  granted += 1;
  const requestId = `bench-request-${granted}`;
  await sql`
    with given as (
      insert into rolecall.user_roles (user_pk, role_pk, granted_by) values (${userPk}, ${role}, ${admin})
    ), taken as (
      update rolecall.revision set value = value + 1, journal_head = ${seal},
        time = greatest(clock_timestamp(), time + interval '1 microsecond')
      returning value, time
    )
    insert into rolecall.journal (revision, number, time, kind, actor_kind, actor_pk, credential_pk, request_id,
      user_pk, role_pk, after, digests, hmac)
    select value, 1, time, 'grant_set', 'user', ${admin}, 1, ${requestId},
      ${userPk}, ${role}, ${terms}::text::jsonb, '{}', ${seal} from taken`;
}

process.on('message', async ({ seconds }: { seconds: number }) => {
  const start = performance.now();
  const before = granted;
  const until = start + seconds * 1_000;
  const caller = async () => {
    while (performance.now() < until) await grant();
  };
  await Promise.all(Array.from({ length: Number(callers) }, caller));
  const run: Run = { rate: ((granted - before) * 1_000) / (performance.now() - start) };
  process.send?.(run);
});
