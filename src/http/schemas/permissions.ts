import { z } from 'zod';
import { page, writtenMembers } from './answers.ts';
import { bodyMeta, listOf, registrable, slug, text, timeOut } from './primitives.ts';
import { pageQuery } from './requests.ts';

export const registerBody = z
  .strictObject({ permission: registrable, description: text(1_000).default('') })
  .meta(
    bodyMeta('RegisterPermissionRequest', {
      permission: 'invoices.approve_invoice',
      description: 'Approve an invoice for payment',
    }),
  );

export const registerBatchBody = z
  .strictObject({ permissions: z.array(registerBody).min(1).max(1_000) })
  .meta(
    bodyMeta('RegisterPermissionsRequest', { permissions: [{ permission: 'invoices.approve_invoice' }] }),
  );

export const describeBody = z
  .strictObject({ description: text(1_000) })
  .meta(bodyMeta('DescribePermissionRequest', { description: 'Approve an invoice for payment' }));

export const permissionsListQuery = z.strictObject({
  resource: z.string().max(100).optional(),
  retired: z
    .enum(['true', 'false'])
    .default('false')
    .transform((value) => value === 'true')
    .meta({ description: 'Retired ones too' }),
  ...pageQuery,
});

const permission = z
  .object({
    permission: slug,
    resource: z.string(),
    action: z.string(),
    description: z.string(),
    declaredIn: z.string().nullable().meta({ description: 'The matrix layer that declares it' }),
    retiredAt: timeOut.nullable().meta({ description: 'Since when it is retired; its slug stays reserved' }),
    createdAt: timeOut,
  })
  .meta({ id: 'Permission' });

export const permissionAnswer = permission;
export const permissionList = page(permission).meta({ id: 'PermissionPage' });
export const permissionWritten = z
  .object({ permission, ...writtenMembers })
  .meta({ id: 'PermissionWritten' });
export const permissionsRegistered = z
  .object({ permissions: listOf(permission), created: listOf(slug), ...writtenMembers })
  .meta({ id: 'PermissionsRegistered' });
