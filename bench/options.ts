import { parseArgs } from 'node:util';

export interface Options {
  readonly json: boolean;
  /** Small data and short runs: shows that everything works, not what anything costs. */
  readonly quick: boolean;
  /** Names of cases, or their beginnings; empty for all. */
  readonly only: readonly string[];
  /** How often two contenders take turns: many short ones, since a machine is not the same for long. */
  readonly rounds: number;
  /** Length of one turn, and of the warm-up before the first. */
  readonly seconds: number;
  readonly warmUpSeconds: number;
  /** How often something is begun anew that has no contender, such as a start. */
  readonly repeats: number;
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
  const lengths = quick ? { rounds: 5, warmUpSeconds: 1 } : { rounds: 20, warmUpSeconds: 4 };
  return { json, quick, only: only.flatMap((names) => names.split(',')), seconds: 1, repeats: 5, ...lengths };
}
