import { z } from 'zod';
import { errorCodes } from '../../domain/errors.ts';
import { page, writtenMembers } from './answers.ts';
import {
  bodyMeta,
  listOf,
  permission,
  roleKey,
  scope,
  slug,
  slugs,
  text,
  timeIn,
  timeOut,
  userId,
} from './primitives.ts';
import { scopeQuery } from './requests.ts';

const terms = {
  startsAt: timeIn.nullish().meta({ description: 'From then on; left out, at once' }),
  expiresAt: timeIn.nullish().meta({ description: 'Until then, not included; left out, for good' }),
  reason: text(1_000).nullish().meta({ description: 'For whoever reads it later' }),
};

interface Terms {
  readonly startsAt?: number | null | undefined;
  readonly expiresAt?: number | null | undefined;
}

const startsFirst = ({ startsAt, expiresAt }: Terms) =>
  startsAt == null || expiresAt == null || startsAt < expiresAt;
const orderFault = { path: ['expiresAt'], error: 'expiresAt must be later than startsAt' };

export const grantParams = z.strictObject({ user: userId, role: roleKey });

/** A PUT without a body means a grant without terms. */
export const grantBody = z
  .strictObject(terms)
  .refine(startsFirst, orderFault)
  .nullish()
  .meta(bodyMeta('GrantRequest', { expiresAt: '2027-01-31T12:00:00Z', reason: 'stock-taking' }));

/** A scope of the list, and of its ETag: everything at it and below. */
export const userGrantsQuery = z.strictObject(scopeQuery);

export const replaceGrantsBody = z
  .strictObject({
    grants: z
      .array(
        z.strictObject({ role: roleKey, scope: scope.optional(), ...terms }).refine(startsFirst, orderFault),
      )
      .max(5_000),
  })
  .meta(bodyMeta('ReplaceGrantsRequest', { grants: [{ role: 'loader', scope: 'warehouse/north' }] }));

const placed = { user: userId, role: roleKey, scope: scope.default('' as z.output<typeof scope>) };

export const batchBody = z
  .strictObject({
    mode: z.enum(['atomic', 'each']).meta({
      description: '`atomic` does all or, with one row refused, none; `each` leaves out the refused ones',
    }),
    changes: z
      .array(
        z.discriminatedUnion('op', [
          z.strictObject({ op: z.literal('grant'), ...placed, ...terms }).refine(startsFirst, orderFault),
          z.strictObject({ op: z.literal('revoke'), ...placed }),
        ]),
      )
      .min(1)
      .max(10_000),
  })
  .meta(
    bodyMeta('GrantBatchRequest', {
      mode: 'each',
      changes: [
        { op: 'grant', user: 'maria', role: 'loader', scope: 'warehouse/north' },
        { op: 'revoke', user: 'lars', role: 'loader', scope: 'warehouse/north' },
      ],
    }),
  );

export const exceptionParams = z.strictObject({ user: userId, permission });

export const exceptionBody = z
  .strictObject({ effect: z.enum(['allow', 'deny']), ...terms })
  .refine(startsFirst, orderFault)
  .meta(bodyMeta('ExceptionRequest', { effect: 'deny', reason: 'under review' }));

const standing = {
  scope: z.string(),
  startsAt: timeOut.nullable(),
  expiresAt: timeOut.nullable(),
  reason: z.string().nullable(),
  grantedBy: z.string().nullable().meta({ description: 'A user; null for the operator' }),
  grantedAt: timeOut,
};

const grant = z
  .object({ user: z.string(), role: z.string(), origin: z.string(), ...standing })
  .meta({ id: 'Grant' });

const exception = z
  .object({ user: z.string(), permission: slug, effect: z.enum(['allow', 'deny']), ...standing })
  .meta({ id: 'Exception' });

const outcome = {
  user: z.string(),
  permissions: slugs.meta({ description: 'What the user now may do in that scope' }),
  ...writtenMembers,
};

export const grantGiven = z
  .object({ ...outcome, grant, gained: slugs, lost: slugs })
  .meta({ id: 'GrantGiven' });
export const grantRevoked = z.object({ ...outcome, gained: slugs, lost: slugs }).meta({ id: 'GrantRevoked' });
export const exceptionSet = z
  .object({ ...outcome, exception, gained: slugs, lost: slugs })
  .meta({ id: 'ExceptionSet' });
export const exceptionEnded = z
  .object({ ...outcome, gained: slugs, lost: slugs })
  .meta({ id: 'ExceptionEnded' });

export const grantList = z.object({ data: listOf(grant) }).meta({ id: 'GrantList' });
export const grantPage = page(grant).meta({ id: 'GrantPage' });
export const exceptionList = z.object({ data: listOf(exception) }).meta({ id: 'ExceptionList' });

export const grantsReplaced = z
  .object({ ...outcome, grants: listOf(grant), gained: slugs, lost: slugs })
  .meta({ id: 'GrantsReplaced' });

export const batchDone = z
  .object({
    outcomes: listOf(
      z
        .object({
          outcome: z.enum(['created', 'changed', 'removed', 'unchanged', 'refused']),
          code: z.enum(errorCodes).optional().meta({ description: 'Why it was refused' }),
          detail: z.string().optional(),
        })
        .meta({ id: 'GrantBatchOutcome' }),
    ).meta({ description: 'One for each change, in their order' }),
    ...writtenMembers,
  })
  .meta({ id: 'GrantBatchDone' });
