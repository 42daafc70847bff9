import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const file = new URL('../../dist/cli/quick-ticks.js', import.meta.url).href;

/** Prints how long one tick takes to queue before and after collections that found none waiting, in nanoseconds. */
const program = `
  import { setImmediate as turn } from 'node:timers/promises';
  import { keepTicksQuick } from '${file}';

  keepTicksQuick();
  const ticks = 200;
  async function quickest() {
    let least = Infinity;
    for (let round = 0; round < 3000; round += 1) {
      const begun = performance.now();
      for (let tick = 0; tick < ticks; tick += 1) process.nextTick(() => {});
      least = Math.min(least, performance.now() - begun);
      await turn();
    }
    return (least * 1e6) / ticks;
  }
  const before = await quickest();
  for (let collection = 0; collection < 8; collection += 1) {
    await turn();
    globalThis.gc();
  }
  console.log(JSON.stringify({ before, after: await quickest() }));
`;

test('ticks are as quick after collections of garbage as before', async () => {
  const words = ['--expose-gc', '--input-type=module', '--eval', program];
  const { stdout } = await promisify(execFile)(process.execPath, words);
  const { before, after } = JSON.parse(stdout) as { before: number; after: number };
  expect(after).toBeLessThan(before * 3);
});
