import { Socket } from 'node:net';

/** What the driver says of where to connect. */
interface Address {
  readonly host: readonly string[];
  readonly port: readonly number[];
  /** Of a socket in the file system, if that is meant. */
  readonly path?: string | false;
}

/** The sockets of a client that has one at a time, and none after `end`. */
export interface EndingSocket {
  /** The driver's option `socket`. Throws after `end`. */
  open(address: Address): Socket;
  end(): void;
}

/**
 * Owned here because the driver (postgres.js 3.4), ended while it waits to connect again, connects all the same: to a
 * connection that nobody knows, and that stays open as long as the process.
 */
export function openEndingSocket(): EndingSocket {
  let socket: Socket | undefined;
  let isOver = false;
  let tries = 0;
  return {
    open({ host: hosts, port: ports, path }) {
      if (isOver) throw new Error('the client was ended');
      // Each time the next one, as the driver goes through several hosts itself.
      const place = tries++ % Math.max(hosts.length, 1);
      const host = hosts[place] ?? '';
      const port = ports[place] ?? 0;
      // The driver reads the server's name for TLS off it.
      const made = Object.assign(new Socket(), { host });
      // What cannot be reached at all would fail before the driver has begun to hear of it.
      queueMicrotask(() => (path ? made.connect(path) : made.connect(port, host)));
      socket = made;
      return made;
    },
    end() {
      isOver = true;
      socket?.destroy();
    },
  };
}
