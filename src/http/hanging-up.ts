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

const usualStackLimit = Error.stackTraceLimit;

/**
 * Node makes an error of every request that was not answered when its connection ends. Nobody reads them, and with their
 * stacks those of a piece of a hundred cost more than all the rest of it: they are made without.
 */
export function endWithoutStacks(socket: Socket): void {
  socket.prependListener('close', leaveStacksOut).on('close', putStacksBack);
}

function leaveStacksOut(): void {
  Error.stackTraceLimit = 0;
}

function putStacksBack(): void {
  Error.stackTraceLimit = usualStackLimit;
}
