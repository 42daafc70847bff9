import postgres from 'postgres';
import { type ErrorCode, RolecallError } from '../domain/errors.ts';
import { unavailable } from './deadline.ts';

/** What each named constraint protects, said to the caller. Order and spelling follow `storage/schema`. */
const constraints: Record<string, readonly [code: ErrorCode, detail: string, pointer?: string]> = {
  users_id_key: ['user_exists', 'a user with this id exists'],
  users_email_key: ['email_taken', 'another user has this e-mail address'],
  identities_issuer_subject_key: ['identity_taken', 'this identity belongs to another user'],
  roles_key_key: ['role_exists', 'a role with this key exists'],
  permissions_slug_key: ['slug_collision', 'another permission already has this slug'],
  api_keys_created_before_expiry: ['invalid_input', 'a key expires in the future', '/expiresAt'],
};

/** Failures of the connection or the server's willingness, not of the statement. */
const unavailableStates =
  /^(08...|40001|40P01|57P0.|57014|42501|53...|55P03|25P0[234]|25006|28...|3D000|58...|XX00[12]|CONNECTION_.*|CONNECT_TIMEOUT|E(?!RR_)[A-Z_]+)$/;
/** The schema is not there, or not the one this release expects. */
const notReadyStates = /^(3F000|42P01|42703|42883)$/;

/** The driver's error inside whatever the query builder wrapped around it. */
function driverError(error: unknown): (Error & { code?: string; constraint_name?: string }) | undefined {
  for (let inner = error; inner instanceof Error; inner = inner.cause)
    if (!(inner instanceof RolecallError) && (inner instanceof postgres.PostgresError || 'code' in inner))
      return inner as Error & { code?: string; constraint_name?: string };
  return undefined;
}

/** SQLSTATE or the driver's or system's own code, if the error has one. */
export function stateOf(error: unknown): string | undefined {
  const code = driverError(error)?.code;
  return typeof code === 'string' ? code : undefined;
}

/** What PostgreSQL says besides the message; it may hold values of rows. */
export function detailOf(error: unknown): string {
  return (driverError(error) as { detail?: string } | undefined)?.detail ?? '';
}

/**
 * Turns whatever the driver threw into an error with one of our codes. The original is kept as the cause, for the log
 * only. This is the one place that knows SQLSTATE and constraint names.
 */
export function toRolecallError(error: unknown): RolecallError {
  if (error instanceof RolecallError) return error;
  const state = stateOf(error) ?? '';
  const constraint = constraints[driverError(error)?.constraint_name ?? ''];
  if (constraint) {
    const [code, detail, pointer] = constraint;
    const errors = pointer === undefined ? {} : { errors: [{ pointer, code: 'invalid_value', detail }] };
    return new RolecallError(code, detail, { cause: error, ...errors });
  }
  if (notReadyStates.test(state))
    return new RolecallError(
      'not_ready',
      'the database lacks the tables of this release; `rolecall migrate status` says which steps are pending',
      { cause: error, retryAfter: 5 },
    );
  if (state.startsWith('28'))
    return unavailable('the database refuses the user or password of DATABASE_URL', error);
  if (state === '3D000') return unavailable('the database that DATABASE_URL names does not exist', error);
  if (unavailableStates.test(state)) return unavailable('the database does not answer', error);
  return new RolecallError('internal', 'something went wrong inside the service', { cause: error });
}

/**
 * Serialization failure, deadlock, a statement that the server would not run because the one before it failed, and
 * connections lost before anything was committed: safe to run again.
 */
export function mayRetry(error: unknown): boolean {
  return /^(25P02|40001|40P01|08...|57P0[123]|CONNECTION_.*|ECONNRESET|EPIPE)$/.test(stateOf(error) ?? '');
}

/** Whether the server answered that it undid the transaction: nothing of it can be there. */
export function wasRefused(error: unknown): boolean {
  return (driverError(error) as { severity?: string } | undefined)?.severity === 'ERROR';
}

/** Whether no connection was made at all. */
export function couldNotConnect(error: unknown): boolean {
  return /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT|CONNECT_TIMEOUT)$/.test(
    stateOf(error) ?? '',
  );
}

/** Whether a lock was not to be had in time, or was given to somebody else to end a deadlock. */
export function lockWasBusy(error: unknown): boolean {
  return /^(55P03|40P01)$/.test(stateOf(error) ?? '');
}

/** Whether the driver or a FATAL error of the server ended the connection, and not a statement on it. */
export function connectionWasLost(error: unknown): boolean {
  const { severity, code = '' } = (driverError(error) ?? {}) as { severity?: string; code?: string };
  return severity === 'FATAL' || /^(CONNECTION_.*|CONNECT_TIMEOUT|E(?!RR_)[A-Z_]+)$/.test(code);
}
