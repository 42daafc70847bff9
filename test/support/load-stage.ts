/** A process of the service on a server of its own, many users in it, and load on it. */
import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import { environmentFor, start } from './program.ts';
import { makeRoot, type Replica, startReplica } from './replicas.ts';
import { type OwnServer, startOwnServer } from './servers.ts';
import { type Came, type Prepared, preparedCheck, startLoad } from './steady-load.ts';
import { buildVault, permission, type Question, role } from './vault.ts';

export interface LoadStage {
  readonly server: OwnServer;
  /** Past the service. */
  readonly sql: postgres.Sql;
  /** Of `root`. */
  readonly key: string;
  /** Another replica, in this process. */
  readonly writer: Replica;
  /** Of the process that is under load. */
  readonly url: string;
  makeKey(name: string): Promise<{ readonly id: string; readonly key: string }>;
  /** One about each user, by one key after the other; every second user may. Every fourth is under a lease, or all as said. */
  questions(by: readonly string[], freshness?: Question['freshness']): Promise<Prepared[]>;
  /** What it says of itself at `/metrics`: a number by its name. */
  metrics(): Promise<(name: string) => number>;
  close(): Promise<void>;
}

export const people = 2_000;
export const poolSize = 5;

export interface LoadStageOptions {
  /** Leads the process to the server by another way: makes one URL of another. */
  readonly through?: (url: string) => Promise<string>;
  /** The release that the process is of. */
  readonly release?: string | undefined;
}

export async function openLoadStage(
  variables: Readonly<Record<string, string>> = {},
  { through = async (url) => url, release }: LoadStageOptions = {},
): Promise<LoadStage> {
  const server = await startOwnServer();
  const sql = postgres(server.url, { max: 1, onnotice: () => {} });
  const key = await makeRoot(server.url);
  const writer = await startReplica(server.url, key);
  await buildVault(writer);
  await sql`insert into rolecall.users (id) select 'user-' || n from generate_series(1, ${people}::int) as n`;
  await sql`insert into rolecall.user_roles (user_pk, role_pk, scope)
    select users.pk, roles.pk, '' from rolecall.users, rolecall.roles
    where users.id like 'user-%' and users.pk % 2 = 0 and roles.key = ${role}`;
  const pool = { ROLECALL_POOL_SIZE: String(poolSize) };
  const url = await through(server.url);
  const program = start(
    ['serve'],
    environmentFor(url, { ...pool, ...variables }),
    release === undefined ? {} : { cwd: release },
  );
  const [, door = ''] = await program.prints(/"msg":"listening on ([^"]+)"/);
  return {
    server,
    sql,
    key,
    writer,
    url: door,
    async makeKey(name) {
      const payload = { user: 'root', name, permissions: ['rolecall.check'] };
      const { status, body } = await writer.request({ method: 'POST', url: '/keys', payload });
      if (status !== 201) throw new Error(JSON.stringify(body));
      return body as { id: string; key: string };
    },
    async questions(by, freshness) {
      const rows = await sql<{ id: string; may: boolean }[]>`
        select id, pk % 2 = 0 as may from rolecall.users where id like 'user-%' order by random()`;
      return rows.map(({ id, may }, place) => {
        const asked = {
          user: id,
          permission,
          freshness: freshness ?? (place % 4 === 0 ? 'lease' : 'latest'),
        };
        return preparedCheck(by[place % by.length] as string, asked, may);
      });
    },
    async metrics() {
      const answer = await fetch(`${door}/metrics`, { headers: { authorization: `Bearer ${key}` } });
      const text = await answer.text();
      return (name) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]);
    },
    async close() {
      program.child.kill('SIGKILL');
      await program.ended();
      await writer.close();
      await sql.end();
      await server.remove();
    },
  };
}

/** As much as so many connections get answered, after five seconds of it. */
export async function ceilingOf(
  url: string,
  prepared: readonly Prepared[],
  connections: number,
): Promise<number> {
  const load = startLoad(url, prepared, { connections });
  await pause(5_000);
  load.take();
  await pause(10_000);
  const came = load.take();
  await load.end();
  return rateOf(came);
}

/** Answers with status 200 in a second. */
export const rateOf = ({ statuses, seconds }: Came) => (statuses[200] ?? 0) / seconds;
