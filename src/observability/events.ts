import type { RolecallError } from '../domain/errors.ts';

/** The part of a logger that events need. */
export interface EventLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  debug(fields: object, message: string): void;
}

/**
 * A request failed on our side. Of the cause its codes and its place in the source are logged, never its message or
 * parameters: the driver puts SQL and values into both.
 */
export function logFailure(log: EventLog, requestId: string, error: RolecallError): void {
  const fields = { event: 'failure', requestId, code: error.code, ...causeOf(error) };
  if (error.code === 'internal') log.error(fields, error.message);
  else log.warn(fields, error.message);
}

/** A token was refused. Nothing of it is logged: whoever sent it chose every letter. */
export function logRefusedToken(log: EventLog, requestId: string, why: string): void {
  log.info({ event: 'token_refused', requestId, why }, 'refused a token');
}

export interface AnsweredRequest {
  readonly requestId: string;
  readonly method: string;
  /** The route's pattern, not the URL: paths name people. */
  readonly route: string;
  readonly status: number;
  readonly milliseconds: number;
}

/** A request was answered. The hot path is logged at debug level only. */
export function logAnswer(log: EventLog, answered: AnsweredRequest, isHot: boolean): void {
  const fields = { event: 'request', ...answered, milliseconds: Math.round(answered.milliseconds * 10) / 10 };
  if (isHot) log.debug(fields, 'answered');
  else log.info(fields, 'answered');
}

/** Acknowledged changes may be gone: somebody has to look. */
export function logEpochBegan(log: EventLog, lostAfter: string): void {
  log.error(
    { event: 'epoch_began', lostAfter },
    'the database is not the one it was (failover, restore or copy): a new epoch began, changes after this revision are lost',
  );
}

/** Without notifications everything stays right: the first who ask after a change wait for what others would have read. */
export function logHearing(log: EventLog, hears: boolean): void {
  const fields = { event: 'notifications', hears };
  if (hears) log.info(fields, 'notifications of the database arrive');
  else
    log.warn(
      fields,
      'notifications of the database do not arrive (a pooler in transaction mode, or a dead connection): answers stay current by reading',
    );
}

export function logListening(log: EventLog, url: string): void {
  log.info({ event: 'listening' }, `listening on ${url}`);
}

export function logStopping(log: EventLog, signal: string): void {
  log.info({ event: 'stopping', signal }, 'finishing open requests');
}

/** Innermost cause first in meaning: SQLSTATE or system code, constraint, and where it was thrown. */
function causeOf(error: RolecallError): object {
  let cause: unknown = error;
  let state: string | undefined;
  let constraint: string | undefined;
  for (let inner = error.cause; inner instanceof Error; inner = inner.cause) {
    cause = inner;
    const driver = inner as Error & { code?: unknown; constraint_name?: unknown };
    if (inner.name !== 'RolecallError' && typeof driver.code === 'string') state = driver.code;
    if (typeof driver.constraint_name === 'string') constraint = driver.constraint_name;
  }
  const frames =
    cause instanceof Error ? cause.stack?.split('\n').filter((line) => /^\s+at /.test(line)) : undefined;
  return {
    ...(state === undefined ? {} : { state }),
    ...(constraint === undefined ? {} : { constraint }),
    ...(cause instanceof Error ? { cause: cause.name } : {}),
    ...(error.code === 'internal' && frames ? { at: frames.slice(0, 8).map((line) => line.trim()) } : {}),
  };
}
