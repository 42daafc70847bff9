/**
 * The closed list of what can go wrong, as callers see it. Each code has one HTTP status in `http/problem.ts` and one
 * section in `docs/errors.md`; a test fails until all three agree.
 */
export const errorCodes = [
  // the request itself
  'invalid_input',
  'invalid_revision',
  'invalid_cursor',
  'malformed_json',
  'payload_too_large',
  'unsupported_media_type',
  'route_not_found',
  'precondition_required',
  'precondition_failed',
  'idempotency_key_reused',
  // the caller
  'unauthenticated',
  'forbidden',
  'exceeds_own_access',
  'rate_limited',
  // what the request names
  'unknown_user',
  'unknown_role',
  'unknown_permission',
  'unknown_key',
  'unknown_mapping',
  'unknown_setting',
  // what it would break
  'user_exists',
  'email_taken',
  'identity_taken',
  'role_exists',
  'role_in_use',
  'plan_outdated',
  'matrix_conflict',
  'loss_not_accepted',
  'include_cycle',
  'slug_collision',
  'managed_by_matrix',
  'withheld_by_layer',
  'immutable_setting',
  'key_ended',
  'last_administrator',
  'batch_refused',
  'lost_history',
  'invalid_setting',
  // the service
  'matrix_invalid',
  'migration_refused',
  'not_ready',
  'unavailable',
  'outcome_unknown',
  'internal',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

/** One fault in a request body, query or path: where (JSON pointer), which kind, and a sentence for people. */
export interface InputFault {
  readonly pointer: string;
  readonly code: string;
  readonly detail: string;
}

export interface ErrorExtras {
  readonly didYouMean?: readonly string[];
  readonly errors?: readonly InputFault[];
  /** Seconds after which trying again makes sense; only for failures of the service and limits. */
  readonly retryAfter?: number;
  readonly cause?: unknown;
}

/** A refusal or failure with a stable code. `message` is shown to callers: no SQL, no secret, no stack. */
export class RolecallError extends Error {
  override readonly name = 'RolecallError';
  readonly code: ErrorCode;
  readonly didYouMean: readonly string[] | undefined;
  readonly errors: readonly InputFault[] | undefined;
  readonly retryAfter: number | undefined;

  constructor(code: ErrorCode, message: string, extras: ErrorExtras = {}) {
    super(message, extras.cause === undefined ? undefined : { cause: extras.cause });
    this.code = code;
    this.didYouMean = extras.didYouMean?.length ? extras.didYouMean : undefined;
    this.errors = extras.errors;
    this.retryAfter = extras.retryAfter;
  }
}
