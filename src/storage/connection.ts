import postgres from 'postgres';
import { deadlineIn, unavailable, within } from './deadline.ts';
import { connectionWasLost } from './errors.ts';

export interface ConnectionOptions {
  readonly url: string;
  readonly connectTimeoutMs: number;
  /** How long one statement may run, and a transaction may sit idle, before the server ends it. */
  readonly statementTimeoutMs: number;
}

/** Long enough for several hosts that say nothing, ten seconds each. */
const firstAnswerMs = 30_000;

/**
 * Resolves when the database has answered once. Rejects with `unavailable` if it does not in time: of several hosts of
 * which none is there the driver tries one after the other for ever.
 */
export async function untilItAnswers(sql: postgres.Sql, timeoutMs = firstAnswerMs): Promise<void> {
  const answered = sql`select 1`.then(() => {});
  await within(deadlineIn(timeoutMs), answered, () => unavailable('the database did not answer in time'));
}

/** Closes the connection under whatever goes on. */
export function discard(client: postgres.Sql): void {
  void client.end({ timeout: 0 }).catch(() => {});
}

/** A client of the driver with one connection; `onclose` is told when that is lost. The session's time zone is always UTC. */
export function connect(options: ConnectionOptions, onclose: () => void): postgres.Sql {
  return postgres(options.url, {
    max: 1,
    connect_timeout: options.connectTimeoutMs / 1_000,
    idle_timeout: 300,
    max_lifetime: 3_600,
    backoff: () => 0.05 + Math.random() * 0.2,
    onnotice: () => {},
    onclose,
    ...(arrayTypes as object),
    connection: {
      application_name: 'rolecall',
      TimeZone: 'UTC',
      // Every statement is planned once for each connection: planning one anew for its arguments takes longer than running it.
      plan_cache_mode: 'force_generic_plan',
      statement_timeout: options.statementTimeoutMs,
      idle_in_transaction_session_timeout: options.statementTimeoutMs,
    },
  });
}

const textArray = 1009;

/**
 * The one array type in use, told to the driver: it would otherwise ask the server for all of them at connect, in a
 * query whose failure nobody can catch.
 */
const arrayTypes = {
  fetch_types: false,
  types: {
    texts: {
      to: textArray,
      from: [textArray],
      // The query builder hands over the literal, a tagged template the list.
      serialize: (texts: string | readonly string[]) =>
        typeof texts === 'string'
          ? texts
          : `{${texts.map((text) => `"${text.replace(/["\\]/g, '\\$&')}"`).join(',')}}`,
      parse: (literal: string) => literal,
    },
  },
} as const;

/**
 * The same client, which refuses with `unavailable` once its connection is gone: the driver would write to a socket that
 * is no more, and end the process.
 */
export function whileThere<Client extends postgres.ISql>(sql: Client, isGone: () => boolean): Client {
  const check = () => {
    if (isGone()) throw unavailable('the connection to the database was lost');
  };
  return new Proxy(sql, {
    apply(target, self, words) {
      check();
      return Reflect.apply(target as never, self, words);
    },
    get(target, name) {
      if (name === 'unsafe') check();
      return Reflect.get(target, name);
    },
  });
}

/**
 * What a transaction's callback gives to the driver. When the connection is lost the driver rejects by itself; told of
 * the failure too, it would write a ROLLBACK to a socket that is no more and end the process (postgres.js 3.4).
 */
export function unlessLost<T>(work: Promise<T>, isGone: () => boolean): Promise<T> {
  return work.catch((error: unknown) =>
    isGone() || connectionWasLost(error) ? new Promise<never>(() => {}) : Promise.reject(error),
  );
}
