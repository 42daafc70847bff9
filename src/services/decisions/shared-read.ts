/**
 * For how many turns of the event loop those who ask may join before a read begins: whoever was just answered asks again
 * meanwhile and need not have the next one. A turn in which nothing comes costs nearly nothing, a read as much as several
 * answers.
 */
export const turnsToJoin = 3;

/**
 * One read for many who ask. Whoever asks gets the outcome of a read that begins after they asked: all who ask while one
 * is under way, and in the turns of the event loop after it, share the next.
 */
export function shareReads<T>(read: (waiting: number) => Promise<T>): () => Promise<T> {
  let underWay: Promise<unknown> = Promise.resolve();
  let next: Promise<T> | undefined;
  let waiting = 0;
  return () => {
    waiting += 1;
    next ??= underWay.then(joinersAreIn, joinersAreIn).then(() => {
      const reading = read(waiting);
      underWay = reading;
      next = undefined;
      waiting = 0;
      return reading;
    });
    return next;
  };
}

async function joinersAreIn(): Promise<void> {
  for (let turn = 0; turn < turnsToJoin; turn += 1) await endOfTurn();
}

/** Resolves when everything that arrived with the present turn of the event loop was looked at. */
export function endOfTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
