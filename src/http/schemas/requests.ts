import { z } from 'zod';
import { moment, permission, revision, roleKey, scope, userId } from './primitives.ts';

/** Query members that every mutating route takes. */
const writeQuery = {
  dryRun: z
    .enum(['true', 'false'])
    .default('false')
    .meta({ description: 'Do everything but keep it, and say so' }),
};

/** Query members and body members that every read of current access takes. */
export const freshness = {
  freshness: z.enum(['latest', 'lease']).optional().meta({
    description:
      '`latest` knows every change made before the question; `lease` may be behind by the length of the lease',
  }),
  atLeast: revision.optional().meta({ description: 'Never answer from before this revision' }),
};

/** Query members and body members of what can be asked about the past. */
export const past = { at: moment.optional() };

/** Query members of every list. */
export const pageQuery = {
  limit: z
    .string()
    .regex(/^([1-9]\d?|1\d\d|200)$/, 'limit is a whole number from 1 to 200')
    .default('50')
    .transform(Number)
    .meta({ description: '1-200', examples: ['50'] }),
  after: z.string().max(4_000).optional().meta({ description: '`nextCursor` of the page before' }),
};

export const scopeQuery = { scope: scope.default('' as z.output<typeof scope>) };

export const userParams = z.strictObject({ user: userId });
export const roleParams = z.strictObject({ role: roleKey });
export const permissionParams = z.strictObject({ permission });

export const writeOnly = z.strictObject(writeQuery);
export const scopedWrite = z.strictObject({ ...scopeQuery, ...writeQuery });
