import { RolecallError } from '../../domain/errors.ts';
import { couldNotConnect, detailOf, lockWasBusy, stateOf, toRolecallError } from '../errors.ts';
import type { Statement } from './statements.ts';

/** Why PostgreSQL refused a statement, and the command that is safe to run next. */
interface Advice {
  readonly cause: string;
  readonly next: string;
}

const standsInTheWay: Advice = {
  cause:
    'something of that name is there that no recorded step made: it came from a dump without the ledger, or by hand',
  next: '`rolecall migrate verify` names what differs. If nothing does, `rolecall migrate repair` proves it and records the step; otherwise move what stands in the way aside, under another name',
};
const isMissing: Advice = {
  cause: 'an earlier step made it, and somebody removed or renamed it by hand',
  next: '`rolecall migrate verify` names what is missing and the step that made it; put it back as it was, or restore a backup',
};

const mayNot: Advice = {
  cause: 'the database user of DATABASE_URL may not do this',
  next: 'migrate as the owner of schema rolecall (`create schema rolecall authorization …` suffices to begin with)',
};

/** What each SQLSTATE means for a step; the rest speaks for itself. */
const advice: Readonly<Record<string, Advice>> = {
  '42P07': standsInTheWay,
  '42710': standsInTheWay,
  '42P06': standsInTheWay,
  '42701': standsInTheWay,
  '42723': standsInTheWay,
  '42P01': isMissing,
  '42703': isMissing,
  '42704': isMissing,
  '3F000': isMissing,
  '42883': isMissing,
  '23503': {
    cause: 'rows name others that do not exist; a constraint that would have stopped them was missing',
    next: '`rolecall migrate verify` names the rows that lead nowhere; end or correct each on purpose, then run `rolecall migrate up` again. Nothing needs to be deleted unread',
  },
  '23505': {
    cause: 'two rows would be the same; for a primary key, the sequence that numbers rows is behind them',
    next: '`rolecall migrate verify` names an identity that is behind and the setval that mends it',
  },
  '23514': {
    cause: 'rows are there that a new rule does not allow',
    next: '`rolecall migrate verify`, then correct the rows on purpose and run `rolecall migrate up` again',
  },
  '23502': {
    cause: 'rows lack a value that is to be there always',
    next: 'fill it in on purpose, then run `rolecall migrate up` again',
  },
  '2BP01': {
    cause: 'something that Rolecall did not make is built on it; it is never dropped along',
    next: 'see what is named above; drop or move it yourself if you own it, then run the same command again',
  },
  '42501': mayNot,
  '0A000': {
    cause: 'this PostgreSQL cannot do it; Rolecall runs on 15 to 18',
    next: '`select version()` tells which one it is',
  },
};

/** What went wrong outside of any file, with one of our codes; the host is named, nothing secret is. */
export function explainSession(error: unknown, url: string): RolecallError {
  if (error instanceof RolecallError) return error;
  if (couldNotConnect(error))
    return new RolecallError(
      'unavailable',
      `the database at ${hostsIn(url)} does not answer (${stateOf(error)}): see that the server runs there and that DATABASE_URL names it`,
      { cause: error },
    );
  if (stateOf(error) !== '42501') return toRolecallError(error);
  return lacksRights(error instanceof Error ? error.message : String(error), error);
}

/** With several hosts it is none that `URL` reads. */
function hostsIn(url: string): string {
  return url.replace(/^[^/]*\/\/([^/?]*@)?/, '').replace(/[/?].*$/, '');
}

/** That the database user of `DATABASE_URL` is not the one to migrate as. */
export function lacksRights(reason: string, cause?: unknown): RolecallError {
  return new RolecallError('migration_refused', `${reason}\nCause: ${mayNot.cause}.\nNext: ${mayNot.next}.`, {
    cause,
  });
}

/**
 * The failure of one statement of a file as `migration_refused`, with place, cause and next command; no row's values. What
 * is the connection's failure or a lock's comes back as it is.
 */
export function explainFailure(error: unknown, file: string, statement: Statement): unknown {
  const state = stateOf(error) ?? 'none';
  const known = advice[state];
  if (lockWasBusy(error) || (!known && toRolecallError(error).code === 'unavailable')) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new RolecallError(
    'migration_refused',
    [
      `${file} failed at statement ${statement.number} (line ${statement.line}) and nothing of it was kept: ${reason} (SQLSTATE ${state})`,
      // Details name rows, but for this one, which names what is built on it.
      ...(state === '2BP01' ? [detailOf(error)] : []),
      ...(known ? [`Cause: ${known.cause}.`, `Next: ${known.next}.`] : []),
    ].join('\n'),
    { cause: error },
  );
}
