import { IncomingMessage, type RequestListener } from 'node:http';
import type { Freshness } from '../services/decisions/freshness.ts';
import type { Mark } from '../services/decisions/shared-read.ts';
import { endOfTurn } from '../services/turns.ts';

/** A request as the server makes it, with what `gatherArrivals` notes of when it came. */
export class Arrival extends IncomingMessage {
  /** On the process's monotonic clock. */
  arrivedAt: number | undefined;
  /** Undefined if a part of it was on its way when the others that it came with had come. */
  mark: Mark | undefined;
}

type Handle = RequestListener<typeof Arrival>;

/**
 * For how many turns of the event loop others may join those who came first: whoever was just answered asks again
 * meanwhile. A turn in which nothing comes costs nearly nothing, a read of the head as much as several answers.
 */
const turnsToJoin = 6;
/** The driver writes what it was told in one turn at the end of the next. */
const turnsToSend = 2;
/** With more at a time the garbage collector moves the memory of those under way more often than it is worth. */
const mostTogether = 128;

/**
 * Hands over together the requests that come within some turns of the event loop: a processor does the same for many
 * sooner than this and that for each, and whoever reads the answers is woken once. What they wait for, the newest
 * revision, begins to be read before if any of those who came last asked for it.
 */
export function gatherArrivals(
  handle: Handle,
  { expectQuestions }: Pick<Freshness, 'expectQuestions'>,
): Handle {
  const gathered: Parameters<Handle>[] = [];
  let isHandingOver = false;

  async function handOver(): Promise<void> {
    isHandingOver = true;
    while (gathered.length > 0) {
      if (gathered.length < mostTogether) await endOfTurn(turnsToJoin);
      const arrivals = gathered.splice(0, mostTogether);
      const mark = expectQuestions();
      for (const [request] of arrivals) if (request.complete) request.mark = mark;
      await endOfTurn(turnsToSend);
      // Nobody would get the answer of others: their client has hung up, or sent what is no request and is hung up on.
      for (const [request, answer] of arrivals) if (request.socket.writable) handle(request, answer);
    }
    isHandingOver = false;
  }

  return (request, answer) => {
    request.arrivedAt = performance.now();
    gathered.push([request, answer]);
    if (!isHandingOver) void handOver();
  };
}
