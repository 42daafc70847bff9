import { z } from 'zod';
import { pastMembers } from './answers.ts';
import { denyReason } from './decisions.ts';
import { listOf, permission, revisionOut, slug, timeOut } from './primitives.ts';
import { freshness, past, scopeQuery } from './requests.ts';

export const explanationQuery = z.strictObject({ permission, ...scopeQuery, ...freshness, ...past });

const state = z
  .enum(['in_force', 'not_started', 'expired'])
  .meta({ id: 'WindowState', description: 'Only what is in force counts now' });

const given = {
  scope: z.string(),
  startsAt: timeOut.nullable(),
  expiresAt: timeOut.nullable(),
  reason: z.string().nullish(),
  grantedBy: z.string().nullish().meta({ description: 'A user; null for the operator' }),
  grantedAt: timeOut.optional(),
};

const link = z
  .object({
    role: z.string(),
    origins: listOf(z.string()).optional().meta({ description: 'Who says so: matrix layers, or api' }),
  })
  .meta({ id: 'ExplainedLink' });

const path = z
  .object({
    state,
    grant: z
      .object({ role: z.string(), origin: z.string().optional(), ...given })
      .meta({ id: 'ExplainedGrant' }),
    includes: listOf(link).meta({
      description: 'The roles included one in the other, from the granted one on',
    }),
    edge: link.meta({ description: 'The role whose own edge gives the permission' }),
  })
  .meta({ id: 'ExplainedPath' });

const exception = z
  .object({ state, permission: slug, effect: z.enum(['allow', 'deny']), ...given })
  .meta({ id: 'ExplainedException' });

const nearestRole = z
  .object({
    role: z.string(),
    otherPermissions: z.int().meta({
      description: 'How many others its grant in this scope would give that the user does not have',
    }),
  })
  .meta({ id: 'NearestRole' });

const leftOut = z.int().meta({ description: 'How many more there are' });

export const explanationAnswer = z
  .object({
    user: z.string(),
    permission: slug,
    scope: z.string(),
    allowed: z.boolean(),
    reason: denyReason.optional(),
    changesAt: timeOut
      .nullable()
      .meta({ description: 'When the decision is another by itself, because something starts or expires' }),
    paths: listOf(path).meta({
      description:
        'Ways from a grant to the permission: those that give it now first, then those to come, then those over',
    }),
    pathsLeftOut: leftOut,
    exceptions: listOf(exception).meta({ description: 'Those that concern the permission in this scope' }),
    exceptionsLeftOut: leftOut,
    nearestRoles: listOf(nearestRole).optional().meta({
      description: 'Which roles would allow what is not granted: first the one that gives the fewest others',
    }),
    nearestRolesLeftOut: leftOut.optional(),
    revision: revisionOut,
    ...pastMembers,
  })
  .meta({
    id: 'Explanation',
    description:
      'About oneself, without rolecall_read_users, it leaves out who gave something and why, origins, and the nearest roles',
    examples: [
      {
        user: 'maria',
        permission: 'orders_view_order',
        scope: 'warehouse/north',
        allowed: true,
        changesAt: '2027-01-31T12:00:00.000Z',
        paths: [
          {
            state: 'in_force',
            grant: {
              role: 'manager',
              scope: 'warehouse',
              origin: 'api',
              startsAt: null,
              expiresAt: '2027-01-31T12:00:00.000Z',
              reason: 'stock-taking',
              grantedBy: 'root',
              grantedAt: '2026-12-01T08:00:00.000Z',
            },
            includes: [{ role: 'viewer', origins: ['baseline'] }],
            edge: { role: 'viewer', origins: ['api', 'baseline'] },
          },
        ],
        pathsLeftOut: 0,
        exceptions: [],
        exceptionsLeftOut: 0,
        nearestRoles: [],
        nearestRolesLeftOut: 0,
        revision: '0f3a9c51d2e7-42',
      },
    ],
  });
