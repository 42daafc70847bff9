/**
 * A function that begins to do some work again and again, after a pause each time, as long as there is a reason; called
 * while it goes on, it does nothing. Never twice at once, and a failure is for the next time to mend. Keeps no process alive.
 */
export function repeatWhile(
  isNeeded: () => boolean,
  pauseMs: () => number,
  work: () => Promise<unknown>,
): () => void {
  let goesOn = false;

  function begin(): void {
    if (goesOn) return;
    goesOn = true;
    setTimeout(() => void once(), pauseMs()).unref();
  }

  async function once(): Promise<void> {
    if (isNeeded()) await work().catch(() => {});
    goesOn = false;
    if (isNeeded()) begin();
  }

  return begin;
}
