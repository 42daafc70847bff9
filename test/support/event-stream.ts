/** A client of `GET /events` over a real socket. */
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';

export interface Heard {
  readonly event: string;
  readonly data: { readonly revision?: string; readonly reason?: string };
  readonly id: string | undefined;
}

export interface EventClient {
  readonly response: Response;
  /** The next event; null at the end of the stream. */
  next(): Promise<Heard | null>;
  /** Everything that came, heartbeats too. */
  text(): string;
  close(): void;
}

/** Where an app listens, which it begins to do. */
export async function urlOf(app: FastifyInstance): Promise<string> {
  if (!app.server.listening) await app.listen({ host: '127.0.0.1', port: 0 });
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
}

export async function listenTo(
  url: string,
  key: string,
  { query = '', headers = {} }: { readonly query?: string; readonly headers?: Record<string, string> } = {},
): Promise<EventClient> {
  const abort = new AbortController();
  const response = await fetch(`${url}/events${query}`, {
    headers: { authorization: `Bearer ${key}`, ...headers },
    signal: abort.signal,
  });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let unread = '';
  let all = '';
  return {
    response,
    text: () => all,
    async next() {
      for (;;) {
        const end = unread.indexOf('\n\n');
        if (end !== -1) {
          const block = unread.slice(0, end);
          unread = unread.slice(end + 2);
          if (block === ':') continue;
          return heardIn(block);
        }
        const { value, done } = (await reader?.read()) ?? { done: true };
        if (done) return null;
        unread += value;
        all += value;
      }
    },
    close: () => abort.abort(),
  };
}

function heardIn(block: string): Heard {
  const fields = new Map(block.split('\n').map((line) => line.split(/: (.*)/s) as [string, string]));
  return {
    event: String(fields.get('event')),
    data: JSON.parse(String(fields.get('data'))),
    id: fields.get('id'),
  };
}
