import postgres from 'postgres';
import { type Finding, notice, problem } from '../../domain/findings.ts';

/** A release of PostgreSQL, as in `server_version_num`: 150018 is 15.18. */
interface BadMinors {
  readonly what: string;
  /** For each major version the first minor that is good again; one that is not listed is not concerned. */
  readonly mendedIn: Readonly<Record<number, number>>;
  /** The minor before which it was good, where only later ones are bad. */
  readonly broughtBy?: Readonly<Record<number, number>>;
}

const oldestMajor = 15;
const newestMajor = 18;

const badMinors: readonly BadMinors[] = [
  {
    what: 'any database user can make the server write past its memory (CVE-2026-6473)',
    mendedIn: { 15: 18, 16: 14, 17: 10, 18: 4 },
  },
  {
    what: 'row-level policies can be those of another role after a change of roles (CVE-2024-10976)',
    mendedIn: { 15: 9, 16: 5, 17: 1 },
  },
  {
    what: 'it ignores `alter role … set role`, which the row-level kit tells owners to use',
    broughtBy: { 15: 9, 16: 5, 17: 1 },
    mendedIn: { 15: 10, 16: 6, 17: 2 },
  },
];

/** What is known to be wrong with a server's version, given as `server_version_num`. */
export function checkVersion(number: number): readonly Finding[] {
  const [major, minor] = [Math.floor(number / 10_000), number % 10_000];
  const subject = `PostgreSQL ${major}.${minor}`;
  if (major < oldestMajor)
    return [problem(subject, `Rolecall needs PostgreSQL ${oldestMajor} or newer`, 'upgrade the server')];
  if (major > newestMajor)
    return [
      notice(
        subject,
        `Rolecall is tested up to PostgreSQL ${newestMajor}`,
        'look for a newer release of Rolecall',
      ),
    ];
  return badMinors
    .filter(({ mendedIn, broughtBy }) => minor < (mendedIn[major] ?? 0) && minor >= (broughtBy?.[major] ?? 0))
    .map(({ what, mendedIn }) => notice(subject, what, `update to ${major}.${mendedIn[major]} or newer`));
}

/** Version, clock and pooler between here and the server. `toleratedOffsetMs` is how far the clocks may be apart. */
export async function checkConnection(
  sql: postgres.TransactionSql,
  url: string,
  toleratedOffsetMs = 2_000,
): Promise<readonly Finding[]> {
  const asked = Date.now();
  const [row] = await sql<[{ version: number; now: number; standby: boolean }]>`
    select current_setting('server_version_num')::int as version, pg_is_in_recovery() as standby,
      extract(epoch from clock_timestamp())::float8 * 1000 as now`;
  const answered = Date.now();
  const findings = [...checkVersion(row.version)];
  const offset = row.now < asked ? asked - row.now : Math.max(0, row.now - answered);
  if (offset > toleratedOffsetMs)
    findings.push(
      notice(
        'the clocks',
        `the server's is ${(offset / 1000).toFixed(1)} s ${row.now < asked ? 'behind' : 'ahead of'} this machine's; grants start and expire by the server's`,
        'synchronise both machines with NTP',
      ),
    );
  if (row.standby)
    findings.push(
      problem('DATABASE_URL', 'names a standby, which can only be read', 'use the address of the primary'),
    );
  if (await sharesServerConnections(url))
    findings.push(
      notice(
        'DATABASE_URL',
        'leads to a pooler in transaction mode: NOTIFY does not arrive, and settings of a session may belong to another',
        'serve and migrate work; a time limit of the pooler would end a step that takes longer',
      ),
    );
  return findings;
}

const looks = 5;

/** Whether two clients that are both connected get to the same server process, as no two sessions can. */
async function sharesServerConnections(url: string): Promise<boolean> {
  const clients = [0, 1].map(() =>
    postgres(url, { max: 1, connect_timeout: 10, prepare: false, onnotice: () => {} }),
  );
  try {
    for (let look = 0; look < looks; look += 1) {
      const processes = new Set<number>();
      for (const client of clients)
        processes.add((await client<[{ pid: number }]>`select pg_backend_pid() as pid`)[0].pid);
      if (processes.size < clients.length) return true;
    }
    return false;
  } finally {
    await Promise.all(clients.map((client) => client.end({ timeout: 5 })));
  }
}
