import { z } from 'zod';
import { type ErrorCode, errorCodes, type RolecallError } from '../domain/errors.ts';

/** The one place where a code becomes an HTTP status, with the title that `docs/errors.md` explains. */
const problems: Readonly<Record<ErrorCode, readonly [status: number, title: string]>> = {
  invalid_input: [400, 'The request is not valid'],
  invalid_revision: [400, 'Not a revision of this database'],
  invalid_cursor: [400, 'Not a cursor of this list'],
  malformed_json: [400, 'The body is not acceptable JSON'],
  payload_too_large: [413, 'The body is too large'],
  unsupported_media_type: [415, 'Send application/json'],
  route_not_found: [404, 'No such route'],
  precondition_required: [428, 'Send If-Match'],
  precondition_failed: [412, 'Changed meanwhile'],
  idempotency_key_reused: [422, 'Idempotency-Key used before'],
  unauthenticated: [401, 'Not authenticated'],
  forbidden: [403, 'Not permitted'],
  exceeds_own_access: [403, 'Beyond what the caller holds'],
  rate_limited: [429, 'Too many requests'],
  unknown_user: [404, 'No such user'],
  unknown_role: [404, 'No such role'],
  unknown_permission: [404, 'No such permission'],
  unknown_key: [404, 'No such key'],
  unknown_mapping: [404, 'No such mapping'],
  unknown_setting: [404, 'No such setting'],
  user_exists: [409, 'User exists'],
  email_taken: [409, 'E-mail address taken'],
  identity_taken: [409, 'Identity taken'],
  role_exists: [409, 'Role exists'],
  role_in_use: [409, 'Role in use'],
  plan_outdated: [409, 'Plan outdated'],
  matrix_conflict: [409, 'Matrix conflict'],
  loss_not_accepted: [409, 'Loss not accepted'],
  include_cycle: [409, 'Roles would include themselves'],
  slug_collision: [409, 'Slug taken by another permission'],
  managed_by_matrix: [409, 'Managed by the matrix'],
  withheld_by_layer: [409, 'Withheld by a matrix layer'],
  immutable_setting: [409, 'Not for changing'],
  key_ended: [409, 'The key works no more'],
  last_administrator: [409, 'Nobody would be administrator'],
  batch_refused: [409, 'Some rows were refused'],
  lost_history: [409, 'That revision was lost'],
  invalid_setting: [422, 'Not a value of this setting'],
  matrix_invalid: [422, 'The matrix is not valid'],
  migration_refused: [503, 'The database needs a person'],
  not_ready: [503, 'Not ready'],
  unavailable: [503, 'Not available'],
  outcome_unknown: [503, 'Outcome unknown'],
  internal: [500, 'Internal error'],
};

/** RFC 9457. `type` and `code` say the same; `requestId` finds the log lines. */
export const problemSchema = z
  .object({
    type: z.string().meta({ examples: ['urn:rolecall:problem:unknown_role'] }),
    title: z.string(),
    status: z.int(),
    code: z.enum(errorCodes),
    detail: z.string(),
    requestId: z.string(),
    errors: z
      .array(z.object({ pointer: z.string(), code: z.string(), detail: z.string() }))
      .optional()
      .meta({ description: 'For bad input: each fault with a JSON pointer to its place' }),
    didYouMean: z.array(z.string()).optional(),
  })
  .meta({ id: 'Problem', description: 'What went wrong (RFC 9457)' });

export type Problem = z.output<typeof problemSchema>;

export const problemType = 'application/problem+json';

export function problemOf(error: RolecallError, requestId: string): Problem {
  const [status, title] = problems[error.code];
  return {
    type: `urn:rolecall:problem:${error.code}`,
    title,
    status,
    code: error.code,
    detail: error.message,
    requestId,
    ...(error.errors ? { errors: [...error.errors] } : {}),
    ...(error.didYouMean ? { didYouMean: [...error.didYouMean] } : {}),
  };
}
