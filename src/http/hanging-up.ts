import type { Socket } from 'node:net';
import { waitMs } from '../services/doorstep.ts';

/** Reads nothing more of a connection, though Node would read on: after each part of a piece, and for a reader who was slow. */
export function readNoFurther(socket: Socket): void {
  socket.on('resume', () => socket.pause()).pause();
}

/** Closes a connection within a second: time for its client to read the last answer, and to wait before it comes back. */
export function hangUpSoon(socket: Socket): void {
  setTimeout(() => socket.destroy(), waitMs());
}
