import type { IncomingMessage, RequestListener } from 'node:http';
import type { Socket } from 'node:net';
import { hangUpSoon, readNoFurther } from './hanging-up.ts';

/** Of those that came over one connection without waiting for each other: what waits takes memory. */
const mostWaiting = 32;

/**
 * Hands over the requests of one connection one after the other, each when the one before it has been answered. They
 * are answered in that order anyway, and so whoever sends hundreds in one piece is under way with one of them. Whoever
 * sends more than can wait is read no further and gets the answer that is under way; nothing that waits is looked at, and
 * within a second the connection is closed. `noteFlood` is told of each such connection.
 */
export function oneAtATime<Request extends typeof IncomingMessage>(
  handle: RequestListener<Request>,
  noteFlood: () => void,
): RequestListener<Request> {
  const waiting = new WeakMap<Socket, number>();
  const waitingOn = (socket: Socket) => waiting.get(socket) ?? 0;
  const isFlooded = (socket: Socket) => waitingOn(socket) > mostWaiting;
  return (request, answer) => {
    const { socket } = request;
    // Node gives the socket to an answer when it is its turn to be written.
    if (answer.socket === socket) return handle(request, answer);
    if (isFlooded(socket)) return;
    waiting.set(socket, waitingOn(socket) + 1);
    if (isFlooded(socket)) {
      noteFlood();
      readNoFurther(socket);
      return;
    }
    answer.once('socket', () => {
      if (isFlooded(socket)) return hangUpSoon(socket);
      waiting.set(socket, waitingOn(socket) - 1);
      // The one before is told of its end in the next tick, and takes its place until then.
      process.nextTick(handle, request, answer);
    });
  };
}
