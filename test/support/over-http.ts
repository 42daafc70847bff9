/** Requests as `inject` takes them, but over connections: what is injected passes by all that stands before Fastify. */
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { FastifyInstance, InjectOptions } from 'fastify';

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  /** Null if there is none. */
  readonly body: unknown;
}

export interface Client {
  send(options: InjectOptions): Promise<Answer>;
  close(): void;
}

/** Lets the app listen and opens a client that keeps its connections, as many as it needs at once. */
export async function openClient(app: FastifyInstance): Promise<Client> {
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true, maxFreeSockets: 1_000 });
  return {
    async send({ method = 'GET', url, query, headers = {}, payload }) {
      const search = query ? `?${new URLSearchParams(query as Record<string, string>)}` : '';
      const isJson = payload !== undefined && typeof payload !== 'string';
      const body = isJson ? JSON.stringify(payload) : payload;
      const length = body === undefined ? {} : { 'content-length': Buffer.byteLength(body) };
      const sent = request({
        agent,
        host: '127.0.0.1',
        port,
        method,
        path: `${url as string}${search}`,
        headers: { ...length, ...(isJson ? { 'content-type': 'application/json' } : {}), ...headers },
      });
      sent.end(body);
      const [answer] = (await once(sent, 'response')) as [IncomingMessage];
      const came = await text(answer);
      return {
        status: answer.statusCode as number,
        headers: answer.headers,
        body: came === '' ? null : JSON.parse(came),
      };
    },
    close: () => agent.destroy(),
  };
}
