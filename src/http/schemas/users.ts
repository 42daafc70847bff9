import { z } from 'zod';
import { page, writtenMembers } from './answers.ts';
import { bodyMeta, email, listOf, scope, text, timeOut, userId } from './primitives.ts';
import { pageQuery } from './requests.ts';

export const createUserBody = z
  .strictObject({
    id: userId.optional().meta({ description: 'Left out, the user gets a UUIDv7' }),
    email: email.nullish(),
    active: z.boolean().default(true),
  })
  .meta(bodyMeta('CreateUserRequest', { id: 'maria', email: 'maria@example.com' }));

export const patchUserBody = z
  .strictObject({ email: email.nullable().optional(), active: z.boolean().optional() })
  .meta(bodyMeta('PatchUserRequest', { active: false }));

export const usersQuery = z.strictObject({
  email: email.optional(),
  idPrefix: z.string().min(1).max(255).optional(),
  active: z
    .enum(['true', 'false'])
    .transform((value) => value === 'true')
    .optional(),
  scope: scope.optional().meta({ description: 'Who has a grant or an exception there or below' }),
  ...pageQuery,
});

export const identity = z
  .strictObject({ issuer: text(255, 1), subject: text(255, 1) })
  .meta(bodyMeta('Identity', { issuer: 'https://login.example.com/', subject: 'auth0|5f7c8ec7' }));

const user = {
  id: z.string(),
  email: z.string().nullable(),
  active: z.boolean(),
  createdAt: timeOut,
  updatedAt: timeOut,
};
const whole = z.object({ ...user, identities: listOf(identity) }).meta({ id: 'User' });

export const userAnswer = whole;
export const userList = page(z.object(user).meta({ id: 'UserSummary' })).meta({ id: 'UserPage' });
export const userWritten = z.object({ user: whole, ...writtenMembers }).meta({ id: 'UserWritten' });
export const userCreated = z
  .object({
    user: whole,
    roles: listOf(z.string()).meta({ description: 'Given along, by the setting `default_role`' }),
    ...writtenMembers,
  })
  .meta({ id: 'UserCreated' });
export const userDeleted = z.object({ user: z.string(), ...writtenMembers }).meta({ id: 'UserDeleted' });

export const userErased = z
  .object({
    users: z.int().meta({ description: 'How many had the id, one after the other' }),
    values: z.int().meta({ description: 'Personal values that were deleted from beside the record' }),
    ...writtenMembers,
  })
  .meta({ id: 'UserErased' });
