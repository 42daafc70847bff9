import { performance } from 'node:perf_hooks';
import { RolecallError } from '../domain/errors.ts';

/** A point on the process's monotonic clock, in its milliseconds, by which an answer must be given. */
export type Deadline = number;

export function deadlineIn(milliseconds: number): Deadline {
  return performance.now() + milliseconds;
}

export function isPast(deadline: Deadline): boolean {
  return performance.now() >= deadline;
}

/** What is left, as whole milliseconds; at least one, because to the server none means no limit. */
export function millisecondsUntil(deadline: Deadline): number {
  return Math.max(1, Math.ceil(deadline - performance.now()));
}

/**
 * Settles as `work` does, or rejects with `late()` once the deadline passes, whichever is first. `work` itself goes on:
 * whoever started it decides what its late outcome may still do.
 */
export function within<T>(deadline: Deadline, work: Promise<T>, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), Math.max(0, deadline - performance.now()));
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** The failure of a deadline or of a full queue: nobody decided anything, try again. */
export function unavailable(why: string, cause?: unknown): RolecallError {
  return new RolecallError('unavailable', why, { retryAfter: 1, cause });
}
