import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import postgres from 'postgres';
import { expect, test } from 'vitest';
import { startEmbeddedPostgres } from '../../src/storage/embedded/embedded.ts';
import { endingOperations } from '../support/contract.ts';
import { cellsOf, type Request, requestOf } from '../support/hostile/requests.ts';
import { long, summarize } from '../support/long-run.ts';
import { startTestService } from '../support/service.ts';
import { prepareTemplate, templateName } from '../support/template.ts';

/** How often each cell is tried after the statements were counted. */
const draws = long ? 40 : 2;

const metacharacters = /: (SQL|wildcards|templates)$/;

/** For each parameter there is one here that it takes, so that whatever follows from taking it is counted before. */
const takenSomewhere = [
  'x',
  '--',
  'orders.view_order',
  'true',
  'lease',
  'latest',
  '1',
  'root%40x.org',
  'AAAAAAAAAAAA',
];

const everyParameter = endingOperations.flatMap((operation) =>
  (operation.parameters ?? [])
    .filter((parameter) => parameter.in === 'query')
    .flatMap(({ name }) =>
      takenSomewhere.map((value) => requestOf(operation, { query: [[name, `${name}=${value}`]] })),
    ),
);

/** The same without a trace: what later ones find is always the same. */
function tried(request: Request): Request {
  const takes = endingOperations.find(({ method, path }) => {
    const pattern = new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`);
    return method === request.method && pattern.test(request.target.split('?')[0] as string);
  });
  if (!takes?.parameters?.some(({ name }) => name === 'dryRun') || request.target.includes('dryRun='))
    return request;
  return { ...request, target: `${request.target}${request.target.includes('?') ? '&' : '?'}dryRun=true` };
}

test('nothing that is sent becomes a part of a statement: there are as many as before (N-09)', {
  timeout: 900_000,
}, async () => {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'rolecall-statements-'));
  const settings = { shared_preload_libraries: 'pg_stat_statements' };
  const server = await startEmbeddedPostgres({ dataDirectory, durable: false, settings });
  const url = Object.assign(new URL(server.url), { pathname: `/${templateName}` }).href;
  await prepareTemplate(server.url);
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  const service = await startTestService({ database: { url, drop: async () => {} } });
  try {
    await sql`create extension pg_stat_statements`;
    const statements = async () =>
      (
        await sql<{ query: string }[]>`
        select query from pg_stat_statements
        where dbid = (select oid from pg_database where datname = current_database())`
      ).map(({ query }) => query);
    const cells = endingOperations
      .flatMap(cellsOf)
      .filter(({ name }) => metacharacters.test(name) && !/^header|dryRun/.test(name));
    let cases = 0;
    const send = async (request: Request) => {
      cases += 1;
      const { method, target, headers, body } = tried(request);
      const { statusCode } = await service.app.inject({
        method: method as 'GET',
        url: target,
        headers: { authorization: `Bearer ${service.adminKey}`, ...headers },
        ...(body ? { payload: body } : {}),
      });
      expect(statusCode, `${method} ${target}`).toBeLessThan(500);
    };
    const tryAll = async (times: number) => {
      for (const cell of cells) for (const request of fc.sample(cell.requests, times)) await send(request);
    };
    await service.as().post('/users').send({ id: 'subject' }).expect(201);
    for (const request of [...endingOperations.map((operation) => requestOf(operation)), ...everyParameter])
      if (!request.target.includes('dryRun=false')) await send(request);
    await tryAll(2);
    await statements();
    const known = new Set(await statements());
    await tryAll(draws);
    const all = await statements();
    expect(all.length).toBeGreaterThan(20);
    expect(all.filter((statement) => !known.has(statement))).toEqual([]);
    expect(
      all.filter((statement) =>
        /drop table|drop schema|union select null|pg_sleep|'1'='1'|\$tag\$/i.test(statement),
      ),
    ).toEqual([]);
    summarize('statements (N-09)', { cells: cells.length, cases, statements: all.length, 'new ones': 0 });
  } finally {
    await sql.end();
    await service.close();
    await server.stop();
    await rm(server.dataDirectory, { recursive: true, force: true });
  }
});
