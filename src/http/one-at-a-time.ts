import type { RequestListener } from 'node:http';
import type { Socket } from 'node:net';

/** Of those that came over one connection without waiting for each other: what waits takes memory. */
const mostWaiting = 32;
/** Who is hung up on comes back at once, and has as much with them. Spread, so that not all do together. */
const shortestMs = 500;
const longestMs = 1_000;

/**
 * Hands over the requests of one connection one after the other, each when the one before it has been answered. They
 * are answered in that order anyway, and so whoever sends hundreds in one piece is under way with one of them. What came
 * beyond the bound is not looked at: nothing more is read, and within a second of the first answer the connection is closed.
 */
export function oneAtATime(handle: RequestListener): RequestListener {
  const waiting = new WeakMap<Socket, number>();
  return (request, answer) => {
    const { socket } = request;
    // Node gives the socket to an answer when it is its turn to be written.
    if (answer.socket === socket) return handle(request, answer);
    const before = waiting.get(socket) ?? 0;
    if (before > mostWaiting) return;
    waiting.set(socket, before + 1);
    // What came in one piece with this is handed over first, and each part of it lets the reading go on.
    if (before === mostWaiting) setImmediate(() => socket.pause());
    answer.once('socket', () => {
      const present = waiting.get(socket) ?? 0;
      if (present > mostWaiting) {
        setTimeout(() => socket.destroy(), shortestMs + Math.random() * (longestMs - shortestMs)).unref();
        return;
      }
      waiting.set(socket, present - 1);
      // The one before is told of its end in the next tick, and takes its place until then.
      process.nextTick(handle, request, answer);
    });
  };
}
