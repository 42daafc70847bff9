import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

/** A way to a PostgreSQL server that fails on demand. Without TLS, since it reads what the server says. */
export interface ChaosProxy {
  /** The server's URL with the proxy in its place. */
  readonly url: string;
  /** Stops forwarding and keeps every socket open. Connections that are open now stay dead, half-open, for good. */
  blackhole(): void;
  /** Forwards what connects from now on. */
  heal(): void;
  /**
   * Swallows the next message of the server that has this type and holds this text, and cuts that connection.
   * `('C', 'COMMIT')` is the reply to a COMMIT that the server has carried out. Resolves when it is cut.
   */
  cutBefore(type: string, text: string): Promise<void>;
  /** Cuts every connection, and tells, once the server has sent that many messages of this type over all of them. */
  cutAfter(type: string, count: number, sprung: () => void): void;
  close(): Promise<void>;
}

export async function startChaosProxy(target: string): Promise<ChaosProxy> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let weather = { open: true };
  let trap: { readonly type: string; readonly text: string; readonly sprung: () => void } | undefined;

  let countdown: { readonly type: string; left: number; readonly sprung: () => void } | undefined;

  const server = createServer((client) => {
    const way = weather;
    const upstream = connect({ port: Number(port), host: hostname, noDelay: true });
    const hangUp = () => {
      client.destroy();
      upstream.destroy();
    };
    for (const socket of [client.setNoDelay(), upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        if (way.open) hangUp();
      });
    }
    client.on('data', (bytes) => way.open && upstream.write(bytes));
    const read = openMessageReader();
    upstream.on('data', (bytes) => {
      for (const message of read(bytes)) {
        if (trap && message[0] === trap.type.charCodeAt(0) && message.includes(trap.text)) {
          hangUp();
          trap.sprung();
          trap = undefined;
          return;
        }
        if (countdown && message[0] === countdown.type.charCodeAt(0)) {
          countdown.left -= 1;
          if (countdown.left <= 0) {
            countdown.sprung();
            countdown = undefined;
            for (const socket of sockets) socket.destroy();
            return;
          }
        }
        if (way.open && !client.destroyed) client.write(message);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');

  const url = new URL(target);
  url.host = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url: url.href,
    blackhole() {
      weather.open = false;
    },
    heal() {
      weather = { open: true };
    },
    cutBefore: (type, text) =>
      new Promise((resolve) => {
        trap = { type, text, sprung: resolve };
      }),
    cutAfter(type, count, sprung) {
      countdown = { type, left: count, sprung };
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
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
