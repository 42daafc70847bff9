import { performance } from 'node:perf_hooks';
import type { Principal } from '../domain/principals.ts';
import type { Sample } from '../observability/metrics.ts';
import type { Database } from '../storage/database.ts';
import { deadlineIn } from '../storage/deadline.ts';
import { type Denial, insertDenials } from '../storage/denials.ts';

export interface RefusedAttempt
  extends Omit<Denial, 'ageMs' | 'actorPk' | 'credentialPk' | 'throughPk' | 'times'> {
  readonly caller: Principal | undefined;
}

/** Keeps attempts at administration that were refused, aside from the answer and from the revision lock. */
export interface Denials {
  /** Notes one. Never waits, never throws: under pressure it is counted and forgotten. */
  note(refused: RefusedAttempt): void;
  counts(): readonly Sample[];
  /** Writes what is noted and stops. */
  close(): Promise<void>;
}

const writeEveryMs = 1_000;
const writeWithinMs = 1_000;
/** Different ones between two writes: of everybody, and of one caller, so that nobody can wash out the others. */
const mostAtOnce = 200;
const mostOfOne = 20;

interface Noted extends Omit<Denial, 'ageMs' | 'times'> {
  readonly at: number;
  times: number;
}

export function openDenials(database: Database): Denials {
  const counts = { kept: 0, dropped: 0 };
  let noted = new Map<string, Noted>();
  let byCaller = new Map<number | null, number>();
  let timer: NodeJS.Timeout | undefined;

  async function write(): Promise<void> {
    timer = undefined;
    const denials = [...noted.values()].map(({ at, ...denial }) => ({
      ...denial,
      ageMs: performance.now() - at,
    }));
    noted = new Map();
    byCaller = new Map();
    if (denials.length === 0) return;
    try {
      await database.run(deadlineIn(writeWithinMs), (sql) => insertDenials(sql, denials));
      counts.kept += denials.length;
    } catch {
      counts.dropped += denials.length;
    }
  }

  return {
    note({ caller, ...refused }) {
      const actorPk = caller?.userPk ?? null;
      const credentialPk = caller?.credentialPk ?? null;
      const { requestId, ...alike } = refused;
      const place = JSON.stringify([actorPk, credentialPk, alike]);
      const known = noted.get(place);
      if (known) {
        known.times += 1;
        return;
      }
      const ofCaller = (byCaller.get(actorPk) ?? 0) + 1;
      if (noted.size >= mostAtOnce || ofCaller > mostOfOne) {
        counts.dropped += 1;
        return;
      }
      byCaller.set(actorPk, ofCaller);
      const throughPk = caller?.through?.userPk ?? null;
      noted.set(place, { ...refused, actorPk, credentialPk, throughPk, at: performance.now(), times: 1 });
      timer ??= setTimeout(() => void write(), writeEveryMs).unref();
    },
    counts: () => Object.entries(counts).map(([outcome, value]): Sample => [{ outcome }, value]),
    async close() {
      clearTimeout(timer);
      await write();
    },
  };
}
