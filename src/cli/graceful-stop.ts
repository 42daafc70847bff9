import { setTimeout as pause } from 'node:timers/promises';
import type { FastifyInstance } from 'fastify';

/** Where nobody asked for so long, nobody is taken to be on the way. */
const quietMs = 300;
/** A balancer that goes on sending for longer does not ask whether the process is ready. */
const longestGoodbyeMs = 4_000;
/** Open requests end by their own deadline; whatever is still there so long after the signal is cut. */
const longestMs = 8_000;
const sweepMs = 50;

/**
 * Stops a server without failing anybody who asks through a load balancer. First it goes on answering, and
 * closes each connection after its answer, until nobody has asked for `quietMs`, or for `longestGoodbyeMs` in
 * all: what the balancer sent before it knew of the stop would otherwise be lost. Then it takes no more
 * connections, finishes open requests, and hangs up. The caller has said before that the process is not
 * ready.
 */
export async function stopGracefully(app: FastifyInstance): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), longestMs);
  await untilNobodyAsks(app);
  // A connection kept alive by its client becomes idle when its last answer is out, and nobody else closes it then.
  const sweep = setInterval(() => app.server.closeIdleConnections(), sweepMs);
  await app.close();
  clearTimeout(cut);
  clearInterval(sweep);
}

const probes = ['/readyz', '/livez'];

async function untilNobodyAsks({ server }: FastifyInstance): Promise<void> {
  const begun = performance.now();
  let lastAsked = begun;
  server.prependListener('request', ({ url = '' }, answer) => {
    answer.shouldKeepAlive = false;
    if (!probes.includes(url)) lastAsked = performance.now();
  });
  for (let now = begun; now - lastAsked < quietMs && now - begun < longestGoodbyeMs; now = performance.now())
    await pause(sweepMs);
}
