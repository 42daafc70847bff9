import { pino } from 'pino';
import supertest from 'supertest';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildServer } from '../../src/http/server.ts';
import { startTestService, type TestService } from '../support/service.ts';

let service: TestService;
let checks: Awaited<ReturnType<typeof buildServer>>;

beforeAll(async () => {
  service = await startTestService();
  const logger = pino({ level: 'silent' });
  checks = await buildServer(service.runtime, {
    ...{ answers: 'checks', version: '0.0.0-test', requestTimeoutMs: 20_000, logger },
  });
  await checks.ready();
});
afterAll(async () => {
  await checks.close();
  await service.close();
});

const asRoot = () => supertest.agent(checks.server).set('authorization', `Bearer ${service.adminKey}`);

test('where administration has a port of its own, the other knows none of it, whoever asks (A-16)', async () => {
  const document = (await supertest(checks.server).get('/openapi.json').expect(200)).body;
  const whole = (await service.as().get('/openapi.json').expect(200)).body;
  const left = Object.keys(document.paths).sort();
  expect(left).toEqual([
    ...[
      '/authorize',
      '/authorize/batch',
      '/events',
      '/livez',
      '/me/permissions',
      '/me/scopes',
      '/metrics',
      '/readyz',
    ],
    ...['/users/{user}/permissions', '/users/{user}/scopes', '/version'],
  ]);
  const gone = Object.keys(whole.paths).filter((path) => !left.includes(path));
  expect(gone.length).toBeGreaterThan(15);
  for (const path of gone)
    for (const method of Object.keys(whole.paths[path])) {
      const url = path.replaceAll(/\{\w+\}/g, 'x');
      const answer = await checks.inject({
        method: method.toUpperCase() as 'GET',
        url,
        headers: { authorization: `Bearer ${service.adminKey}` },
      });
      expect(answer.json(), `${method} ${path}`).toMatchObject({ status: 404, code: 'route_not_found' });
    }
  await asRoot().post('/authorize').send({ permission: 'orders.view_order' }).expect(200);
});

test('headers that a proxy adds, or somebody who is none, change nothing (N-14)', async () => {
  const forged = {
    'x-forwarded-for': '203.0.113.9',
    'x-forwarded-proto': 'https',
    'x-forwarded-host': 'evil.example',
    'x-real-ip': '203.0.113.9',
    'x-user-id': 'root',
    'x-internal-id': 'root',
    'x-tenant': 'other',
  };
  await supertest(checks.server).get('/me/permissions').set(forged).expect(401);
  const plain = await asRoot().get('/me/permissions').expect(200);
  const same = await asRoot().get('/me/permissions').set(forged).expect(200);
  expect(same.body).toEqual(plain.body);
  expect(same.text).not.toContain('evil.example');
});
