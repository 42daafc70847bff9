import { describe, expect, it } from 'vitest';
import { type PermissionName, slugOf } from '../../../src/domain/permissions.ts';
import { faultsOf, read } from './reading.ts';

const pairCount = 100_000;
const pairsPerFile = 10_000;

describe('requirement 2.3: the string that goes out', () => {
  it.each([
    ['adminpanel', 'view_dashboard', 'adminpanel_view_dashboard'],
    ['customers', 'change_customer', 'customers_change_customer'],
    ['document', 'create', 'document_create'],
    ['adminpanel', 'view_documents', 'adminpanel_view_documents'],
    ['documents', 'view_document', 'documents_view_document'],
    ['purchase_orders', 'view', 'purchase_orders_view'],
    ['a2', 'b3_c4', 'a2_b3_c4'],
  ])('of %s and %s is %s', (resource, action, slug) => {
    const layer = read(`version: 1\npermissions: {${resource}: {${action}: Something}}\nroles: {}\n`);
    expect(layer.permissions.map((permission) => permission.slug)).toEqual([slug]);
  });
});

describe('requirement 2.3: of 100,000 random pairs of different names', () => {
  const pairs = Array.from({ length: pairCount }, (_, number) => (number % 2 ? twins(number) : any(number)));
  const files = Array.from({ length: pairCount / pairsPerFile }, (_, number) =>
    write(pairs.slice(number * pairsPerFile, (number + 1) * pairsPerFile)),
  );

  it('both kinds are plenty', () => {
    const sharing = pairs.filter(([a, b]) => slugOf(a) === slugOf(b)).length;
    expect(sharing).toBeGreaterThanOrEqual(pairCount / 2);
    expect(pairCount - sharing).toBeGreaterThan(pairCount / 4);
  });

  it.each(files.map(({ text, faults }, number) => ({ number, text, faults })))(
    'those with one slug are refused, each with both places, and no others: file $number',
    ({ text, faults }) => {
      expect(faultsOf(text)).toEqual(faults);
    },
  );
});

type Pair = readonly [PermissionName, PermissionName];

/** Words divided into resource and action at two different places: two names, one slug. */
function twins(number: number): Pair {
  const words = [`p${number}`, ...randomWords(2 + pick(3))];
  const first = 1 + pick(words.length - 1);
  const second = 1 + ((first + pick(words.length - 2)) % (words.length - 1));
  return [divide(words, first), divide(words, second)];
}

/** Names as they come, which may share a slug by chance. */
function any(number: number): Pair {
  for (;;) {
    const [a, b] = [1, 2].map(() => {
      const words = [`p${number}`, ...randomWords(1 + pick(3))];
      return divide(words, 1 + pick(words.length - 1));
    });
    if (a && b && (a.resource !== b.resource || a.action !== b.action)) return [a, b];
  }
}

function divide(words: readonly string[], at: number): PermissionName {
  return { resource: words.slice(0, at).join('_'), action: words.slice(at).join('_') };
}

function randomWords(count: number): string[] {
  return Array.from({ length: count }, () => ['a', 'b', 'c', 'ab', 'a1'][pick(5)] ?? '');
}

/** A fixed sequence (mulberry32), so that a failure comes back. */
let state = 20_240_229;
function pick(below: number): number {
  state = (state + 0x6d2b79f5) | 0;
  let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
  mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
  return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
}

/** A file that declares the pairs, and what is wrong with it. Every pair begins with a word of its own. */
function write(batch: readonly Pair[]): { text: string; faults: string[] } {
  const lines = ['version: 1', 'roles: {}', 'permissions:'];
  const faults: string[] = [];
  for (const [a, b] of batch) {
    lines.push(`  ${a.resource}:`, `    ${a.action}: A`);
    const firstLine = lines.length;
    if (a.resource !== b.resource) lines.push(`  ${b.resource}:`);
    lines.push(`    ${b.action}: B`);
    if (slugOf(a) !== slugOf(b)) continue;
    const first = `"${a.resource}.${a.action}" at baseline.yaml:${firstLine}:5`;
    const own = `"${b.resource}.${b.action}"`;
    faults.push(`baseline.yaml:${lines.length}:5 ${own} and ${first} share the slug "${slugOf(a)}"`);
  }
  return { text: `${lines.join('\n')}\n`, faults };
}
