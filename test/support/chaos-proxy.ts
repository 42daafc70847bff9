import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { performance } from 'node:perf_hooks';

/** A way to a PostgreSQL server that fails on demand. Without TLS, since it reads what the server says. */
export interface ChaosProxy {
  /** The server's URL with the proxy in its place. */
  readonly url: string;
  /**
   * Stops forwarding, or only what one side says, and keeps every socket open. Connections that are open now stay dead,
   * half-open, for good. Of an application that is named, only its connections, and only those that are open now.
   */
  blackhole(options?: { readonly of?: Side; readonly application?: string }): void;
  /** Holds back what the server says for so long, each message by up to `jitter` more or less. */
  delay(milliseconds: number, jitter?: number): void;
  /** Cuts all connections, the clients' end with a reset. */
  reset(): void;
  /** Cuts all connections and takes no new ones. */
  refuse(): void;
  /** Forwards what connects from now on, without delay. */
  heal(): void;
  /** Leads what connects from now on to another server; what is open stays where it is. */
  leadTo(target: string): void;
  /**
   * Swallows the next message of the server that has this type and holds this text, and cuts that connection.
   * `('C', 'COMMIT')` is the reply to a COMMIT that the server has carried out. Resolves when it is cut.
   */
  cutBefore(type: string, text: string): Promise<void>;
  /** Cuts every connection, and tells, once the server has sent that many messages of this type over all of them. */
  cutAfter(type: string, count: number, sprung: () => void): void;
  /** Likewise, but from that message on the connection is half-open. */
  blackholeBefore(type: string, text: string): Promise<void>;
  /** Connections that are open now, of one application or of all. */
  connections(application?: string): number;
  close(): Promise<void>;
}

type Side = 'client' | 'server';

/** What becomes of what either side says. */
interface Weather {
  client: boolean;
  server: boolean;
}

interface Connection {
  readonly client: Socket;
  readonly upstream: Socket;
  weather: Weather;
  /** The first message of the client, which names the application. */
  startup: string;
  /** What the server said and the client is yet to hear, in that order, and when. */
  readonly held: { readonly due: number; readonly message: Buffer }[];
}

export async function startChaosProxy(target: string): Promise<ChaosProxy> {
  let server = new URL(target);
  const open = new Set<Connection>();
  let weather: Weather = { client: true, server: true };
  let isRefusing = false;
  let delayMs = () => 0;
  let trap: { readonly type: string; readonly text: string; spring(at: Connection): void } | undefined;

  let countdown: { readonly type: string; left: number; readonly sprung: () => void } | undefined;

  const listener = createServer((client) => {
    if (isRefusing) return void client.resetAndDestroy();
    const upstream = connect({ port: Number(server.port), host: server.hostname, noDelay: true });
    const connection: Connection = { client, upstream, weather, startup: '', held: [] };
    open.add(connection);
    for (const socket of [client.setNoDelay(), upstream]) {
      socket.on('error', () => {});
      socket.on('close', () => {
        if (connection.weather.client && connection.weather.server) hangUp(connection);
        if (client.destroyed) open.delete(connection);
      });
    }
    client.on('data', (bytes) => {
      connection.startup ||= bytes.toString('latin1');
      if (connection.weather.client && !upstream.destroyed) upstream.write(bytes);
    });
    const read = openMessageReader();
    upstream.on('data', (bytes) => {
      for (const message of read(bytes)) {
        if (trap && message[0] === trap.type.charCodeAt(0) && message.includes(trap.text)) {
          trap.spring(connection);
          trap = undefined;
          return;
        }
        if (countdown && message[0] === countdown.type.charCodeAt(0)) {
          countdown.left -= 1;
          if (countdown.left <= 0) {
            countdown.sprung();
            countdown = undefined;
            for (const each of open) hangUp(each);
            return;
          }
        }
        connection.held.push({ due: performance.now() + delayMs(), message });
        // What was said first arrives first, though its way was longer.
        if (connection.held.length === 1) passWhatIsDue(connection);
      }
    });
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');

  const url = new URL(target);
  url.host = `127.0.0.1:${(listener.address() as AddressInfo).port}`;
  const of = (application: string) => [...open].filter(({ startup }) => startup.includes(application));
  const trapAt = (type: string, text: string, act: (connection: Connection) => void) =>
    new Promise<void>((resolve) => {
      const spring = (connection: Connection) => {
        act(connection);
        resolve();
      };
      trap = { type, text, spring };
    });
  const cutAll = () => {
    for (const { client, upstream } of open) {
      client.resetAndDestroy();
      upstream.destroy();
    }
  };
  return {
    url: url.href,
    blackhole({ of: side, application } = {}) {
      const next = { client: side === 'server', server: side === 'client' };
      if (application !== undefined) for (const connection of of(application)) connection.weather = next;
      else {
        for (const connection of open) connection.weather = next;
        weather = next;
      }
    },
    delay(milliseconds, jitter = 0) {
      delayMs = () => milliseconds + (Math.random() * 2 - 1) * jitter;
    },
    reset: cutAll,
    refuse() {
      isRefusing = true;
      cutAll();
    },
    heal() {
      weather = { client: true, server: true };
      isRefusing = false;
      delayMs = () => 0;
    },
    leadTo(other) {
      server = new URL(other);
    },
    cutBefore: (type, text) => trapAt(type, text, hangUp),
    blackholeBefore: (type, text) =>
      trapAt(type, text, (connection) => {
        connection.weather = { client: false, server: false };
      }),
    cutAfter(type, count, sprung) {
      countdown = { type, left: count, sprung };
    },
    connections: (application = '') => of(application).length,
    async close() {
      for (const connection of open) hangUp(connection);
      listener.close();
      await once(listener, 'close');
    },
  };
}

function hangUp({ client, upstream }: Connection): void {
  client.destroy();
  upstream.destroy();
}

function passWhatIsDue(connection: Connection): void {
  const { client, held } = connection;
  for (let [first] = held; first; [first] = held) {
    const wait = first.due - performance.now();
    if (wait > 0) return void setTimeout(() => passWhatIsDue(connection), wait);
    held.shift();
    if (connection.weather.server && !client.destroyed) client.write(first.message);
  }
}

/** Puts the server's bytes together to whole messages: one byte of type, four of length, the rest. */
function openMessageReader(): (bytes: Buffer) => readonly Buffer[] {
  let pending: Buffer = Buffer.alloc(0);
  return (bytes) => {
    pending = Buffer.concat([pending, bytes]);
    const messages: Buffer[] = [];
    for (;;) {
      const end = pending.length < 5 ? Number.POSITIVE_INFINITY : 1 + pending.readUInt32BE(1);
      if (pending.length < end) return messages;
      messages.push(pending.subarray(0, end));
      pending = pending.subarray(end);
    }
  };
}
