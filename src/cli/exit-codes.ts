import { RolecallError } from '../domain/errors.ts';

/** What a command's exit tells scripts; documented in README. */
export const exitCodes = {
  done: 0,
  /** The configuration or the arguments are not usable, or something failed that nobody foresaw. */
  unusable: 1,
  /** What was asked is refused: the data, the files or the state of the database do not allow it. */
  refused: 2,
  /** The database could not be reached in time; the same command may work later. */
  unavailable: 3,
  /** There are differences, said only when asked for by `--exit-code`. */
  changes: 4,
} as const;

export function exitCodeOf(error: unknown): number {
  if (!(error instanceof RolecallError)) return exitCodes.unusable;
  if (error.code === 'unavailable' || error.code === 'outcome_unknown') return exitCodes.unavailable;
  return error.code === 'internal' || error.code === 'invalid_input' ? exitCodes.unusable : exitCodes.refused;
}
