import { z } from 'zod';
import { page, pastMembers } from './answers.ts';
import { listOf, revisionOut, scope, timeOut } from './primitives.ts';
import { pageQuery, past, scopeQuery } from './requests.ts';

export const permissionUsersQuery = z.strictObject({ ...scopeQuery, ...past, ...pageQuery });

export const roleUsersQuery = z.strictObject({
  ...pageQuery,
  scope: scope.optional().meta({
    description:
      'Only what holds in this scope, at it or above; left out, direct grants in every scope, and effective ones everywhere',
  }),
  effective: z.enum(['true', 'false']).default('false').meta({
    description:
      'Instead of every grant of the role itself, the grants in force of active users, of it and of each role that includes it',
  }),
});

const holder = z
  .object({
    user: z.string().nullable().meta({ description: 'Null only of the past, for somebody erased since' }),
    via: listOf(
      z.object({
        role: z
          .string()
          .nullable()
          .meta({ description: 'A granted role; null for an exception that allows' }),
        scope: z.string(),
        expiresAt: timeOut.nullable(),
      }),
    ).meta({ description: 'What gives it now' }),
    viaLeftOut: z.int().meta({ description: 'How many more there are' }),
  })
  .meta({ id: 'PermissionHolder' });

export const permissionUsersAnswer = page(holder)
  .extend({ revision: revisionOut, ...pastMembers })
  .meta({
    id: 'PermissionHolderPage',
    description:
      'In the order in which the users were made. A page may be shorter than its limit: only a null cursor is the end',
    examples: [
      {
        data: [
          { user: 'maria', via: [{ role: 'manager', scope: '', expiresAt: null }], viaLeftOut: 0 },
          {
            user: 'lars',
            via: [{ role: null, scope: 'warehouse', expiresAt: '2027-01-31T12:00:00.000Z' }],
            viaLeftOut: 0,
          },
        ],
        nextCursor: null,
        revision: '0f3a9c51d2e7-42',
      },
    ],
  });
