import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
beforeAll(async () => {
  service = await startTestService();
});
afterAll(() => service.close());

test('requests whose connection ended before they were answered fail without stacks, and what fails later has its own (A-24)', async () => {
  const { app } = service;
  await app.listen({ host: '127.0.0.1', port: 0 });
  const failures: Error[] = [];
  app.server.on('request', (request: IncomingMessage) =>
    request.on('error', (error) => failures.push(error)),
  );
  const { port } = app.server.address() as AddressInfo;
  const socket = connect({ host: '127.0.0.1', port }).on('error', () => {});
  socket.write('GET /livez HTTP/1.1\r\nhost: x\r\n\r\n'.repeat(40));
  socket.resume();
  await once(socket, 'close');
  await expect.poll(() => failures.length).toBeGreaterThan(30);
  expect(failures.filter(({ stack }) => stack?.includes('\n    at '))).toEqual([]);
  expect(new Error('later').stack).toContain('\n    at ');
});
