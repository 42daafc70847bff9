import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { projectRoot } from '../support/build.ts';
import { createEmptyDatabase, type TestDatabase } from '../support/database.ts';
import { environmentFor, run, start } from '../support/program.ts';

interface Service {
  readonly command?: string[];
  readonly depends_on?: Record<string, { condition: string }>;
  readonly environment: Record<string, string>;
}

let database: TestDatabase;
let services: Record<string, Service>;

beforeAll(async () => {
  database = await createEmptyDatabase();
  const text = await readFile(join(projectRoot, 'docker-compose.yml'), 'utf8');
  services = (parse(text, { merge: true }) as { services: Record<string, Service> }).services;
});
afterAll(() => database.drop());

test('the commands of docker-compose.yml, in the order of their dependencies, end in a ready service', async () => {
  const order = ['migrate', 'matrix', 'rolecall'];
  expect(Object.keys(services)).toEqual(['postgres', ...order]);
  order.slice(1).forEach((name, index) => {
    expect(services[name]?.depends_on).toEqual({
      [order[index] as string]: { condition: 'service_completed_successfully' },
    });
  });
  for (const name of order.slice(0, -1))
    expect(await run(services[name]?.command as string[], environmentFor(database.url))).toMatchObject({
      code: 0,
    });

  const serve = start(services['rolecall']?.command as string[], environmentFor(database.url));
  const [, url] = await serve.prints(/"msg":"listening on ([^"]+)"/);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);

  const dockerfile = await readFile(join(projectRoot, 'Dockerfile'), 'utf8');
  const [, healthcheck] = /^HEALTHCHECK .*CMD (\[.*\])$/m.exec(dockerfile) ?? [];
  const [node, ...words] = JSON.parse(healthcheck as string) as [string, ...string[]];
  const probe = (port: string) =>
    start(words, { PATH: process.env['PATH'], PORT: port }, { command: node }).ended();
  expect(await probe(new URL(url as string).port)).toMatchObject({ code: 0 });
  serve.child.kill('SIGTERM');
  expect(await serve.ended()).toMatchObject({ code: 0 });
  expect(await probe(new URL(url as string).port)).toMatchObject({ code: 1 });
});

test('no secret has a default in docker-compose.yml', () => {
  for (const name of ['migrate', 'matrix', 'rolecall']) {
    expect(services[name]?.environment['DATABASE_URL']).toContain('${POSTGRES_PASSWORD:?');
    expect(services[name]?.environment['ROLECALL_JOURNAL_KEY']).toMatch(/^\$\{ROLECALL_JOURNAL_KEY:\?/);
  }
});
