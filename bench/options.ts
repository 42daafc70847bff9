import { parseArgs } from 'node:util';

export interface Options {
  readonly json: boolean;
  /** Small data and short runs: shows that everything works, not what anything costs. */
  readonly quick: boolean;
  /** Names of cases, or their beginnings; empty for all. */
  readonly only: readonly string[];
  readonly rounds: number;
  /** Length of one run, and of the warm-up before the first. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
}

/** Reads the words after `npm run bench --`. Throws on words that mean nothing. */
export function readOptions(words: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...words],
    options: {
      json: { type: 'boolean', default: false },
      quick: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
    },
  });
  const { json, quick, only } = values;
  const lengths = quick ? { seconds: 1, warmUpSeconds: 1 } : { seconds: 4, warmUpSeconds: 4 };
  return { json, quick, only: only.flatMap((names) => names.split(',')), rounds: 5, ...lengths };
}
