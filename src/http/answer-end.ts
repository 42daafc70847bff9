import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';

type Queue = Map<ServerResponse, (() => void)[]>;

/** Of connections whose client sends more before it is answered: the answers that had to queue and are not over. */
const queues = new WeakMap<Socket, Queue>();

/** Runs `end`, once, when nothing more comes of an answer: it is out, or nobody is there to take it. */
export function atEndOf(request: FastifyRequest, reply: FastifyReply, end: () => void): void {
  const { socket } = request.raw;
  const answer = reply.raw;
  if (answer.socket === socket) {
    answer.on('close', end);
    return;
  }
  const queue = queueOn(socket);
  const ends = queue.get(answer);
  if (ends) ends.push(end);
  else {
    queue.set(answer, [end]);
    answer.on('close', () => over(queue, answer));
  }
}

/** How many answers this one has to wait for that had to wait themselves; 0 if it is the next of its connection. */
export function queuedBefore(request: FastifyRequest, reply: FastifyReply): number {
  const { socket } = request.raw;
  return reply.raw.socket === socket ? 0 : queueOn(socket).size;
}

function queueOn(socket: Socket): Queue {
  const known = queues.get(socket);
  if (known) return known;
  const queue: Queue = new Map();
  queues.set(socket, queue);
  // Node tells only the answer whose turn it is.
  socket.on('close', () => {
    for (const answer of [...queue.keys()]) over(queue, answer);
  });
  return queue;
}

function over(queue: Queue, answer: ServerResponse): void {
  const ends = queue.get(answer) ?? [];
  queue.delete(answer);
  for (const end of ends) end();
}
