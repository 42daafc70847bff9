import { z } from 'zod';
import type { Deviation, MatrixChange } from '../../domain/matrix/changes.ts';
import type { MatrixPlan, TracedDeviation } from '../../domain/matrix/plan.ts';
import { slugOf } from '../../domain/permissions.ts';
import { writtenMembers } from './answers.ts';
import { bodyMeta, listOf, revisionOut, slug, slugs } from './primitives.ts';

const files = z
  .array(z.strictObject({ name: z.string().min(1).max(255), text: z.string() }))
  .min(1)
  .max(500)
  .meta({ description: 'The baseline, and the layers on top of it, as the text of their files' });
const accept = z
  .enum(['matrix', 'live'])
  .optional()
  .meta({ description: 'Which side wins where the files and somebody changed the same thing' });

const exampleFiles = [
  {
    name: 'baseline.yaml',
    text: 'version: 1\npermissions: { orders: { view_order: See an order } }\nroles: { clerk: { name: Clerk, description: Sees orders, permissions: [orders.view_order] } }\n',
  },
];

export const planBody = z
  .strictObject({ files, accept })
  .meta(bodyMeta('PlanMatrixRequest', { files: exampleFiles }));

export const applyBody = z
  .strictObject({
    files,
    accept,
    allowLoss: z.boolean().default(false).meta({ description: 'Go on though somebody loses something' }),
    plan: z
      .strictObject({
        catalogueRevision: z.string().max(100),
        losses: z
          .array(
            z.strictObject({
              user: z.string().max(1_020),
              scope: z.string().max(255),
              permissions: z.array(z.string().max(201)).max(10_000),
            }),
          )
          .max(100_000),
      })
      .optional()
      .meta({
        description:
          'Of the plan that was reviewed: nobody else loses anything, and nothing else has changed',
      }),
  })
  .meta(bodyMeta('ApplyMatrixRequest', { files: exampleFiles, allowLoss: false }));

const standing = {
  given: z.boolean().meta({ description: 'Some origin gives it and none withholds it' }),
  origins: listOf(z.string()),
  withheldBy: listOf(z.string()),
};
const declaredIn = z.string().nullable().meta({ description: 'The matrix layer that declares it' });

export const matrixAnswer = z
  .object({
    permissions: listOf(
      z
        .object({
          slug,
          resource: z.string(),
          action: z.string(),
          description: z.string(),
          declaredIn,
        })
        .meta({ id: 'MatrixPermission' }),
    ),
    roles: listOf(
      z
        .object({
          key: z.string(),
          name: z.string(),
          description: z.string(),
          isSystem: z.boolean(),
          declaredIn,
          permissions: listOf(z.object({ permission: slug, ...standing }).meta({ id: 'MatrixEdge' })),
          includes: listOf(z.object({ role: z.string(), ...standing }).meta({ id: 'MatrixInclude' })),
        })
        .meta({ id: 'MatrixRole' }),
    ),
    layers: listOf(z.object({ id: z.string(), contentHash: z.string() }).meta({ id: 'AppliedLayer' })),
    catalogueRevision: revisionOut,
    revision: revisionOut,
  })
  .meta({ id: 'Matrix' });

const impact = z
  .object({ user: z.string(), scope: z.string(), permissions: slugs })
  .meta({ id: 'MatrixImpact', description: 'What somebody gains or loses in a scope and below it' });

const change = z
  .object({
    kind: z.string().meta({ examples: ['edge_added'] }),
    role: z.string().optional(),
    permission: slug.optional(),
    included: z.string().optional(),
    origin: z.string().optional().meta({ description: 'The layer whose row it is, or `api`' }),
    withheld: z.boolean().optional().meta({ description: 'Whether the row withholds instead of gives' }),
  })
  .meta({ id: 'MatrixChange' });

const deviation = z
  .object({
    kind: z.enum(['edge', 'include', 'role_words', 'undeclared_role', 'undeclared_permission']),
    role: z.string().optional(),
    permission: slug.optional(),
    included: z.string().optional(),
    live: z.enum(['given', 'withheld']).optional(),
    layers: listOf(z.string()).meta({ description: 'The layers that say the opposite' }),
    changed: z
      .object({
        actor: z.enum(['user', 'operator', 'service']).nullable(),
        by: z.string().nullable().meta({ description: 'The user, while known' }),
        at: z.string().nullable(),
      })
      .meta({ id: 'MatrixProvenance' }),
  })
  .meta({ id: 'MatrixDeviation' });

const plan = {
  catalogueRevision: revisionOut,
  isEmpty: z.boolean(),
  losses: listOf(impact),
  gains: listOf(impact),
  changes: listOf(change),
  kept: listOf(deviation).meta({ description: 'What somebody changed past the matrix and stays' }),
  conflicts: listOf(deviation).meta({ description: 'What `accept` settles' }),
  retirements: listOf(
    z
      .object({ permission: slug, roles: listOf(z.string()), users: listOf(z.string()) })
      .meta({ id: 'MatrixRetirement' }),
  ),
  leftRoles: listOf(z.object({ role: z.string(), holders: z.int() }).meta({ id: 'MatrixLeftRole' })),
  twins: listOf(listOf(z.string())).meta({
    description: 'Pairs of permissions that are easily taken for each other',
  }),
};

export const planAnswer = z.object(plan).meta({ id: 'MatrixPlan' });
export const applyAnswer = z.object({ ...plan, ...writtenMembers }).meta({ id: 'MatrixApplied' });

/** A plan as it goes out: every change and deviation flat, whatever it is about. */
export function planOut(planned: MatrixPlan) {
  const { changes, kept, conflicts, ...rest } = planned;
  return {
    ...rest,
    changes: changes.map(changeOut),
    kept: kept.map(deviationOut),
    conflicts: conflicts.map(deviationOut),
  };
}

function changeOut(one: MatrixChange) {
  switch (one.kind) {
    case 'permission_declared':
      return { kind: one.kind, permission: one.permission.slug, origin: one.layer };
    case 'permission_described':
    case 'permission_retired':
      return { kind: one.kind, permission: one.slug };
    case 'role_declared':
      return { kind: one.kind, role: one.role.key, origin: one.layer };
    case 'role_described':
    case 'role_undeclared':
    case 'role_removed':
      return { kind: one.kind, role: one.key };
    default:
      return one;
  }
}

function deviationOut({ changed, ...one }: TracedDeviation) {
  return { changed, layers: 'layers' in one ? one.layers : [], ...subjectOf(one) };
}

function subjectOf(one: Deviation) {
  switch (one.kind) {
    case 'edge':
      return { kind: one.kind, role: one.role, permission: one.permission, live: one.live };
    case 'include':
      return { kind: one.kind, role: one.role, included: one.included, live: one.live };
    case 'undeclared_permission':
      return { kind: one.kind, permission: slugOf(one.permission) };
    default:
      return { kind: one.kind, role: one.role };
  }
}
