import type { FastifyReply, FastifyRequest } from 'fastify';

/** Runs `end`, once, when nothing more comes of an answer: it is out, or nobody is there to take it. */
export function atEndOf(
  { raw: { socket } }: FastifyRequest,
  { raw: answer }: FastifyReply,
  end: () => void,
): void {
  if (answer.socket === socket) {
    answer.on('close', end);
    return;
  }
  // It queues behind others on its connection. Node does not tell it if that ends first.
  const over = () => {
    answer.off('close', over);
    socket.off('close', over);
    end();
  };
  answer.on('close', over);
  socket.setMaxListeners(0).on('close', over);
}
