import type { Socket } from 'node:net';
import { waitMs } from '../services/doorstep.ts';

/**
 * Reads nothing more of a connection, though Node would read on: to the end of the piece that it has, after each part of
 * one, and for a reader who was slow.
 */
export function readNoFurther(socket: Socket): void {
  leaveTheRest(socket);
  socket.on('resume', () => socket.pause()).pause();
}

/** To Node's parser the number says that no HTTP follows this head; it offers no other way to stop within a piece. */
const noHttpFollows = 2;

function leaveTheRest(socket: Socket): void {
  const { parser } = socket as Socket & { parser?: { onIncoming: () => number } | null };
  if (parser) parser.onIncoming = () => noHttpFollows;
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
