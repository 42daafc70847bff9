import { createServer } from 'node:net';

/** A port of the loopback interface that is free now: the preferred one if it can be had, else any. */
export async function freePort(preferred: number): Promise<number> {
  return (
    (await claim(preferred)) ?? (await claim(0)) ?? Promise.reject(new Error('No port is free on 127.0.0.1.'))
  );
}

function claim(port: number): Promise<number | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address();
      server.close(() => resolve(address !== null && typeof address === 'object' ? address.port : undefined));
    });
  });
}
