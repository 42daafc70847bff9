import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { OperationAt } from '../contract/openapi-document.ts';
import { endingOperations } from '../support/contract.ts';
import { bodyOf, goodBody } from '../support/hostile/fields.ts';
import { requestOf } from '../support/hostile/requests.ts';
import { long, summarize } from '../support/long-run.ts';
import { startTestService, type TestService } from '../support/service.ts';

/** Debian's, with `apt-get install -y sqlmap`; the statements of the database themselves are counted without it. */
const hasSqlmap = (() => {
  try {
    return execFileSync('which', ['sqlmap']).length > 0;
  } catch {
    return false;
  }
})();

interface Target {
  readonly method: string;
  readonly url: string;
  readonly body?: string;
  readonly key: string;
}

/** What sqlmap says about the places that are marked with a star; how many requests it sent is for others to count. */
async function sqlmap({ method, url, body, key }: Target): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rolecall-sqlmap-'));
  const words = [
    ...['-u', url, '--method', method, '-H', `Authorization: Bearer ${key}`],
    ...(body === undefined ? [] : ['-H', 'Content-Type: application/json', '--data', body]),
    ...['--level', '5', '--risk', '2', '--dbms', 'PostgreSQL', '--technique', 'BEUSQ', '--ignore-code', '*'],
    ...['--batch', '--flush-session', '--disable-coloring', '--keep-alive', '--output-dir', folder],
  ];
  try {
    return await new Promise((resolve) =>
      execFile('sqlmap', words, { maxBuffer: 2 ** 28 }, (_, said) => resolve(said)),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

// As it ends, not as it goes: on the way it suspects, because no two answers have the same request id.
const found = /identified the following injection point|is vulnerable/;
const finished = /all tested parameters do not appear to be injectable/;

describe.skipIf(!long || !hasSqlmap)('sqlmap', { timeout: 3_600_000 }, () => {
  let service: TestService;
  let origin: string;
  let requests = 0;
  beforeAll(async () => {
    service = await startTestService();
    await service.as().post('/users').send({ id: 'subject' }).expect(201);
    await service.app.listen({ host: '127.0.0.1', port: 0 });
    service.app.server.on('request', () => {
      requests += 1;
    });
    origin = `http://127.0.0.1:${(service.app.server.address() as AddressInfo).port}`;
  });
  afterAll(async () => {
    summarize('sqlmap (N-09)', { operations: endingOperations.length, requests, found: 0 });
    await service.close();
  });

  test('finds a statement that is put together from what is sent', async () => {
    const sql = postgres(service.database.url, { max: 1, onnotice: () => {} });
    const careless = createServer(async (request, response) => {
      const id = new URL(request.url ?? '', origin).searchParams.get('id');
      const rows = await sql.unsafe(`select id from rolecall.users where id = '${id}'`).catch(() => []);
      response.end(JSON.stringify(rows));
    });
    await new Promise<void>((resolve) => careless.listen(0, '127.0.0.1', resolve));
    try {
      const { port } = careless.address() as AddressInfo;
      const url = `http://127.0.0.1:${port}/?id=subject*`;
      expect(await sqlmap({ method: 'GET', url, key: service.adminKey })).toMatch(found);
    } finally {
      careless.close();
      await sql.end();
    }
  });

  test.for(endingOperations.filter((operation) => operation.security.length > 0))(
    'finds nothing at $method $path (N-09)',
    async (operation) => {
      const { url, body } = marked(operation);
      if (!`${url}${body ?? ''}`.includes('*')) return;
      const said = await sqlmap({
        method: operation.method,
        url: `${origin}${url}`,
        ...(body === undefined ? {} : { body }),
        key: service.adminKey,
      });
      expect(said, said.slice(-2_000)).not.toMatch(found);
      expect(said, said.slice(-2_000)).toMatch(finished);
    },
  );
});

/** The operation's good request, as a dry run if there is one, with a star where a text of the caller's stands. */
function marked(operation: OperationAt): { url: string; body: string | undefined } {
  const parameters = (operation.parameters ?? []).filter(({ in: place }) => place === 'query');
  const query = parameters.map(
    ({ name }) => [name, name === 'dryRun' ? 'dryRun=true' : `${name}=${examples[name] ?? 'x'}*`] as const,
  );
  const path = Object.fromEntries(
    [...operation.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name, `${there[name as string] ?? 'x'}*`]),
  );
  const { target } = requestOf(operation, { path, query });
  const body = bodyOf(operation) && JSON.stringify(starred(goodBody(operation)));
  return { url: target, body };
}

const there: Readonly<Record<string, string>> = { user: 'subject', role: 'loader', other: 'viewer' };
const examples: Readonly<Record<string, string>> = {
  limit: '10',
  active: 'true',
  permission: 'orders.view_order',
};

/** Every text of a body with a star behind it. */
function starred(value: unknown): unknown {
  if (typeof value === 'string') return `${value}*`;
  if (Array.isArray(value)) return value.slice(0, 1).map(starred);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, starred(inner)]));
}
