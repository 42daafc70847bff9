import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import type { Database } from './database.ts';
import { deadlineIn } from './deadline.ts';
import { type EndingSocket, openEndingSocket } from './ending-socket.ts';
import { revisionChannel } from './journal.ts';

export interface Listener {
  /** Whether it heard its own notification the last time it sent one. */
  readonly hears: boolean;
  close(): Promise<void>;
}

export interface ListenerOptions {
  readonly url: string;
  /** Through which it notifies itself: another connection, as those of other replicas are. */
  readonly database: Database;
  readonly connectTimeoutMs: number;
  /** How often it proves itself; also how long it waits to hear. */
  readonly proveEveryMs: number;
  /** Somebody committed a change. */
  onWake(): void;
  /** It was found to hear, or not to hear any more. */
  onHearing(hears: boolean): void;
}

/**
 * Wakes the reader when somebody writes. It proves itself by hearing its own notification, at the start and every few
 * seconds, because a connection can be dead for minutes, or belong to a pooler that delivers nothing, and look well. A
 * deaf one is replaced by a new client. Nothing is correct because of it: it only saves waiting.
 */
export function openListener(options: ListenerOptions): Listener {
  const { database, proveEveryMs } = options;
  const stopping = new AbortController();
  const state = { hears: false, known: false };
  const running = run();

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      const socket = openEndingSocket();
      const client = connect(socket);
      try {
        await listen(client);
      } catch {
        tell(false);
      } finally {
        await client.end({ timeout: 0 }).catch(() => {});
        socket.end();
      }
      await sleep(proveEveryMs / 4 + Math.random() * (proveEveryMs / 4));
    }
  }

  /** Listens until it no longer hears itself; rejects when it does not. */
  async function listen(client: postgres.Sql): Promise<void> {
    const channel = `rolecall_proof_${crypto.randomUUID().replaceAll('-', '')}`;
    let heard = () => {};
    await within(client.listen(channel, () => heard()));
    await within(
      client.listen(
        revisionChannel,
        () => options.onWake(),
        () => options.onWake(),
      ),
    );
    while (!stopping.signal.aborted) {
      const proof = new Promise<void>((resolve) => {
        heard = resolve;
      });
      await Promise.all([
        within(proof),
        database.run(deadlineIn(proveEveryMs), (sql) => sql`select pg_notify(${channel}, '')`),
      ]);
      tell(true);
      await sleep(proveEveryMs);
    }
  }

  function tell(hears: boolean): void {
    if (stopping.signal.aborted || (state.known && state.hears === hears)) return;
    state.hears = hears;
    state.known = true;
    options.onHearing(hears);
  }

  async function within<T>(work: Promise<T>): Promise<T> {
    work.catch(() => {});
    const late = pause(proveEveryMs, undefined, { ref: false, signal: stopping.signal }).then(() => {
      throw new Error('nothing was heard in time');
    });
    late.catch(() => {});
    return Promise.race([work, late]);
  }

  function sleep(milliseconds: number): Promise<unknown> {
    return pause(milliseconds, undefined, { signal: stopping.signal, ref: false }).catch(() => {});
  }

  function connect({ open }: EndingSocket): postgres.Sql {
    return postgres(options.url, {
      max: 1,
      ...{ socket: open },
      connect_timeout: options.connectTimeoutMs / 1_000,
      idle_timeout: 0,
      max_lifetime: null,
      onnotice: () => {},
      fetch_types: false,
      connection: { application_name: 'rolecall listener' },
    });
  }

  return {
    get hears() {
      return state.hears;
    },
    async close() {
      stopping.abort();
      await running;
    },
  };
}
