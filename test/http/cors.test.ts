import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildServer } from '../../src/http/server.ts';
import { listenTo, urlOf } from '../support/event-stream.ts';
import { startTestService, type TestService } from '../support/service.ts';

const origin = 'https://app.example.com';
let service: TestService;
let app: TestService['app'];

beforeAll(async () => {
  service = await startTestService();
  const logger = pino({ level: 'silent' });
  const usual = { version: '0.0.0-test', requestTimeoutMs: 20_000, logger };
  app = await buildServer(service.runtime, { ...usual, corsOrigins: [origin, 'http://localhost:5173'] });
  await app.ready();
});
afterAll(async () => {
  await app.close();
  await service.close();
});

const preflight = {
  'access-control-request-method': 'GET',
  'access-control-request-headers': 'authorization',
};

test('a browser may ask for a page of a listed origin, without a credential and before any handler', async () => {
  for (const url of ['/me/permissions', '/events', '/users/maria/roles/loader']) {
    const answer = await app.inject({ method: 'OPTIONS', url, headers: { origin, ...preflight } });
    expect(answer.statusCode).toBe(204);
    expect(answer.body).toBe('');
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE',
      'access-control-allow-headers': expect.stringMatching(/Authorization.*If-None-Match.*Last-Event-ID/),
    });
    expect(answer.headers['access-control-allow-credentials']).toBeUndefined();
  }
});

test('its answers, refusals too, are for it to read, with the headers it needs', async () => {
  const authorization = `Bearer ${service.adminKey}`;
  for (const [headers, status] of [
    [{ origin, authorization }, 200],
    [{ origin }, 401],
  ] as const) {
    const answer = await app.inject({ method: 'GET', url: '/me/permissions', headers });
    expect(answer.statusCode).toBe(status);
    expect(answer.headers).toMatchObject({
      'access-control-allow-origin': origin,
      'access-control-expose-headers': 'ETag, Retry-After, X-Request-Id, Rolecall-Revision',
      vary: 'Origin',
    });
  }
});

test('a stream of events is for it to read, too', async () => {
  const stream = await listenTo(await urlOf(app), service.adminKey, { headers: { origin } });
  expect(stream.response.headers.get('access-control-allow-origin')).toBe(origin);
  expect(await stream.next()).toMatchObject({ event: 'hello' });
  stream.close();
});

test.for(['https://evil.example', 'https://app.example.com.evil.example', 'http://app.example.com', 'null'])(
  'no page of another origin may: %s',
  async (other) => {
    const asked = await app.inject({
      method: 'OPTIONS',
      url: '/me/permissions',
      headers: { origin: other, ...preflight },
    });
    const got = await app.inject({
      method: 'GET',
      url: '/me/permissions',
      headers: { origin: other, authorization: `Bearer ${service.adminKey}` },
    });
    for (const { headers } of [asked, got]) expect(headers['access-control-allow-origin']).toBeUndefined();
  },
);

test('where no origin is listed, there is nothing of it', async () => {
  const asked = await service.app.inject({
    method: 'OPTIONS',
    url: '/me/permissions',
    headers: { origin, ...preflight },
  });
  expect(asked.json()).toMatchObject({ status: 404, code: 'route_not_found' });
  const got = await service.as().get('/me/permissions').set({ origin }).expect(200);
  expect(Object.keys(got.headers).filter((name) => /^access-control|^vary/.test(name))).toEqual([]);
});
