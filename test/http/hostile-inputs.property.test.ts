import fc from 'fast-check';
import type { InjectOptions } from 'fastify';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { OperationAt } from '../contract/openapi-document.ts';
import { type Answer, endingOperations } from '../support/contract.ts';
import { type Cell, cellsOf, type Request } from '../support/hostile/requests.ts';
import {
  expectAsDocumented,
  expectCleanPrototypes,
  expectSoundLog,
  refusedInput,
} from '../support/hostile/verdict.ts';
import { inLanes } from '../support/lanes.ts';
import { long, summarize } from '../support/long-run.ts';
import { startTestService, type TestService } from '../support/service.ts';

/** How often each cell is drawn, of a place that the route has for itself. */
const draws = long ? 18 : 1;
/** How many are under way at once, since a case mostly waits for the database. */
const atOnce = 8;
/** One in so many of the cells of headers, which every route has and hardly any reads. */
const headerShare = long ? 1 : 26;

let service: TestService;
const lines: string[] = [];
const counts = { cases: 0, refused: 0, accepted: 0, cells: 0 };

beforeAll(async () => {
  service = await startTestService({ onLog: (line) => void lines.push(line) });
});
afterAll(async () => {
  summarize('hostile inputs in process (N-01 to N-12)', { ...counts, 'server errors': 0 });
  await service.close();
});

async function inject({ method, target, headers, body }: Request): Promise<Answer> {
  const authorization = `Bearer ${service.adminKey}`;
  const answer = await service.app.inject({
    method: method as NonNullable<InjectOptions['method']>,
    url: target,
    headers: { authorization, ...headers },
    ...(body ? { payload: body } : {}),
  });
  const said = answer.body;
  return {
    status: answer.statusCode,
    headers: answer.headers as Record<string, string>,
    text: said,
    body: said.startsWith('{') ? JSON.parse(said) : {},
  };
}

/** Whether it arrives as it is written: `inject` takes the dots out of a path as browsers do. */
function arrives({ target }: Request): boolean {
  return new URL(target, 'http://x').pathname === target.replace(/\?.*$/s, '');
}

async function holds(cell: Cell, operation: OperationAt): Promise<void> {
  const standsAgainst = async (request: Request) => {
    const answer = await inject(request);
    counts.cases += 1;
    expectAsDocumented(answer, operation);
    expectCleanPrototypes();
    expectSoundLog(lines.splice(0));
    const isRefused = refusedInput.includes(answer.status);
    counts[isRefused ? 'refused' : 'accepted'] += 1;
    // A key that is looked up in a fixed list need not be well-formed first; what is not there is refused, too.
    if (cell.isRefused) expect([...refusedInput, 404, 412, 428], answer.text).toContain(answer.status);
  };
  counts.cells += 1;
  const numRuns = cell.name.startsWith('header') ? 1 : draws;
  try {
    await fc.assert(fc.asyncProperty(cell.requests.filter(arrives), standsAgainst), { numRuns });
  } catch (error) {
    throw new Error(`${cell.name}\n${(error as Error).message}`, { cause: error });
  }
}

test.for(endingOperations)(
  '$method $path stands whatever it is sent',
  { timeout: 600_000 },
  async (operation) => {
    await service.as().post('/users').send({ id: 'subject' });
    const offset = Math.floor(Math.random() * headerShare);
    const cells = cellsOf(operation).filter(
      ({ name }, at) => !name.startsWith('header') || (at + offset) % headerShare === 0,
    );
    await inLanes(atOnce, cells, (cell) => holds(cell, operation));
  },
);
