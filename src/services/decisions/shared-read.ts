/**
 * One read for many who ask. Whoever asks gets the outcome of a read that begins after they asked: all who ask while one
 * is under way share the next, and those of one turn of the event loop share one.
 */
export function shareReads<T>(read: (waiting: number) => Promise<T>): () => Promise<T> {
  let underWay: Promise<unknown> = Promise.resolve();
  let next: Promise<T> | undefined;
  let waiting = 0;
  return () => {
    waiting += 1;
    next ??= Promise.allSettled([underWay, endOfTurn()]).then(() => {
      const reading = read(waiting);
      underWay = reading;
      next = undefined;
      waiting = 0;
      return reading;
    });
    return next;
  };
}

/** Resolves when everything that arrived with the present turn of the event loop was looked at. */
export function endOfTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
