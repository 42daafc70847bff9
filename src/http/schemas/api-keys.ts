import { z } from 'zod';
import { page, writtenMembers } from './answers.ts';
import { bodyMeta, listOf, permission, slug, text, timeIn, timeOut, userId } from './primitives.ts';
import { pageQuery } from './requests.ts';

export const createKeyBody = z
  .strictObject({
    user: userId.meta({ description: 'As whom the key acts' }),
    name: text(200, 1).meta({ description: 'What it is for' }),
    permissions: z
      .array(permission)
      .min(1)
      .max(1_000)
      .nullish()
      .meta({ description: "Narrows the key to these of its user's permissions" }),
    expiresAt: timeIn.nullish(),
  })
  .meta(bodyMeta('CreateKeyRequest', { user: 'orders-service', name: 'orders in production' }));

export const keyParams = z.strictObject({
  key: z
    .string()
    .regex(/^[0-9A-Za-z]{12}$/, 'the id of a key has 12 letters and digits')
    .meta({ description: 'The id of a key', examples: ['k3J9xQ2mPz7B'] }),
});

export const keysQuery = z.strictObject({ user: userId.optional(), ...pageQuery });

const key = {
  id: z.string(),
  user: z.string(),
  name: z.string(),
  permissions: listOf(slug).nullable(),
  expiresAt: timeOut.nullable(),
  revokedAt: timeOut.nullable(),
  createdAt: timeOut,
};

const secret = z.string().nullable().meta({
  description: 'The key itself, shown this once; null when a repeated request is answered',
});

export const keyList = page(z.object(key).meta({ id: 'Key' })).meta({ id: 'KeyPage' });
export const keyCreated = z.object({ ...key, key: secret, ...writtenMembers }).meta({ id: 'KeyCreated' });
export const keyRevoked = z.object({ ...key, ...writtenMembers }).meta({ id: 'KeyRevoked' });
