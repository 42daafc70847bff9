import { z } from 'zod';
import { pastMembers } from './answers.ts';
import {
  bodyMeta,
  listOf,
  permission,
  revisionOut,
  scope,
  slug,
  slugs,
  timeOut,
  userId,
} from './primitives.ts';
import { freshness, past, scopeQuery } from './requests.ts';

export const denyReason = z
  .enum(['unknown_permission', 'unknown_user', 'inactive_user', 'denied_by_exception', 'not_granted'])
  .meta({ id: 'DenyReason', description: 'The first that applies, in this order' });

const decision = {
  allowed: z.boolean(),
  permission: slug,
  reason: denyReason.optional().meta({ description: 'Only of a denial' }),
};

export const authorizeBody = z
  .strictObject({
    user: userId.optional().meta({ description: 'Whom the question is about; left out it is the caller' }),
    permission,
    scope: scope.optional(),
    ...freshness,
    ...past,
  })
  .meta(
    bodyMeta('AuthorizeRequest', {
      user: 'maria',
      permission: 'customers.change_customer',
      scope: 'warehouse/north',
    }),
  );

export const authorizeAnswer = z.object({ ...decision, revision: revisionOut, ...pastMembers }).meta({
  id: 'AuthorizeAnswer',
  examples: [{ allowed: true, permission: 'customers_change_customer', revision: '0f3a9c51d2e7-42' }],
});

export const batchBody = z
  .strictObject({
    user: userId.optional().meta({ description: 'For checks that name nobody; left out it is the caller' }),
    scope: scope.optional().meta({ description: 'For checks that name no scope' }),
    checks: z
      .array(z.strictObject({ user: userId.optional(), permission, scope: scope.optional() }))
      .min(1)
      .max(1_000),
    ...freshness,
    ...past,
  })
  .meta(
    bodyMeta('AuthorizeBatchRequest', {
      user: 'maria',
      checks: [{ permission: 'orders.view_order' }, { permission: 'orders.load_order' }],
    }),
  );

export const batchAnswer = z
  .object({ results: listOf(z.object(decision)), revision: revisionOut, ...pastMembers })
  .meta({ id: 'AuthorizeBatchAnswer' });

export const permissionsQuery = z.strictObject({ ...scopeQuery, ...freshness, ...past });

/** What the tag of an answer is made of: all but the revision. */
export const permissionsState = z.object({
  user: z.string(),
  scope: z.string(),
  permissions: slugs.meta({ description: 'Every slug that is allowed, sorted' }),
  roles: listOf(z.string()).meta({ description: 'Every role that counts, included ones too, sorted' }),
  expiresAt: timeOut.nullable().meta({ description: 'When this answer changes by itself, if it will' }),
});

export const permissionsAnswer = permissionsState
  .extend({ revision: revisionOut, ...pastMembers })
  .meta({ id: 'UserPermissions' });

export const scopesQuery = z.strictObject({
  permission: permission
    .optional()
    .meta({ description: 'Left out, the scopes where the user holds anything' }),
  ...freshness,
});

export const scopesAnswer = z
  .object({
    user: z.string(),
    permission: slug.nullable(),
    scopes: listOf(z.string()).meta({
      description:
        'Where the user was given it; each stands for everything below it but what is denied; "" is everywhere',
    }),
    denied: listOf(z.string()).meta({
      description: 'Where, at or below those, an exception denies the permission',
    }),
    revision: revisionOut,
  })
  .meta({ id: 'UserScopes' });
