import { expect } from 'vitest';
import type { OperationAt } from '../../contract/openapi-document.ts';
import { type Answer, expectContract, expectProblem } from '../contract.ts';

/** Of the inside, what no answer may show: SQL, tables, stacks, places in the source. */
const inside =
  /\b(select|insert|update|delete) .*(from|into|set)\b|rolecall\.(users|identities|roles|permissions|role_|user_|api_keys|revision|journal|personal|epochs|idempotency)|node_modules|\.[tj]s:\d|postgres|sqlstate|violates|stack/i;

/** The statuses by which input is refused before anything is done with it. */
export const refusedInput: readonly number[] = [400, 413, 414, 415, 417, 431];

/**
 * What holds for the answer to any request whatever: it is no failure of ours, a refusal is a whole problem document, and
 * nothing of the inside is told.
 */
export function expectSound(answer: Answer): void {
  expect(answer.status, answer.text).toBeLessThan(500);
  if (answer.status < 400) return;
  expectProblem(answer);
  const { detail, errors = [] } = answer.body as { detail: string; errors?: readonly { detail: string }[] };
  for (const told of [detail, ...errors.map((fault) => fault.detail)]) expect(told).not.toMatch(inside);
}

/**
 * The same of an answer that came from this operation: it is as the document says, which does not repeat at every
 * operation what is refused before any is looked at.
 */
export function expectAsDocumented(answer: Answer, { method, path }: OperationAt): void {
  expectSound(answer);
  const code = (answer.body as { code?: string } | undefined)?.code;
  if (code !== 'route_not_found' && !refusedInput.includes(answer.status))
    expectContract(answer, method, path);
}

/** Names of what every object has that were not there before: somebody's input became everybody's. */
export function expectCleanPrototypes(): void {
  expect(Object.keys(Object.prototype)).toEqual([]);
  expect(Object.getOwnPropertyNames(Object.prototype)).toHaveLength(12);
  expect(Object.getOwnPropertyNames(Array.prototype)).toHaveLength(arrayMembers);
}

const arrayMembers = Object.getOwnPropertyNames(Array.prototype).length;

/** The longest line of a log, in bytes, by which one event is one line for whoever collects it. */
const longestLine = 16_384;

/** One event is one line of JSON, short enough, and nothing in it can begin another. */
export function expectSoundLog(lines: readonly string[]): void {
  for (const line of lines) {
    expect(line).toMatch(/^\{[^\p{Cc}\u2028\u2029]*\}\n$/u);
    expect(Buffer.byteLength(line)).toBeLessThanOrEqual(longestLine);
    expect(JSON.parse(line)).toMatchObject({ level: expect.any(Number), time: expect.anything() });
  }
}
