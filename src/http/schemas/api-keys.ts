import { z } from 'zod';
import { page, writtenMembers } from './answers.ts';
import { bodyMeta, listOf, permission, scope, slug, text, timeIn, timeOut, userId } from './primitives.ts';
import { pageQuery } from './requests.ts';

export const createKeyBody = z
  .strictObject({
    user: userId.meta({ description: 'As whom the key acts' }),
    name: text(200, 1).meta({ description: 'What it is for' }),
    permissions: z.array(permission).min(1).max(1_000).nullish().meta({
      description:
        "Narrows the key to these of its user's permissions; without, it has all that the user has and will have",
    }),
    scope: scope.optional().meta({ description: 'The key works there and below; left out it is everywhere' }),
    expiresAt: timeIn.nullish(),
  })
  .meta(
    bodyMeta('CreateKeyRequest', {
      user: 'orders-service',
      name: 'orders in production',
      permissions: ['rolecall.check'],
    }),
  );

const longestOverlapSeconds = 30 * 24 * 3_600;
export const usualOverlapSeconds = 3_600;

export const rotateKeyBody = z
  .strictObject({
    overlapSeconds: z.int().min(0).max(longestOverlapSeconds).optional().meta({
      description: 'For how long the old key works beside the new one: 0 to 30 days, an hour if left out',
    }),
    expiresAt: timeIn
      .nullish()
      .meta({ description: 'When the new key ends; left out, when the old one would have' }),
  })
  .nullish()
  .meta(bodyMeta('RotateKeyRequest', { overlapSeconds: 3_600 }));

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
  scope: z.string().meta({ description: 'Where it works, and below; "" is everywhere' }),
  expiresAt: timeOut.nullable(),
  revokedAt: timeOut.nullable(),
  createdAt: timeOut,
  lastUsedAt: timeOut.nullable().meta({ description: 'To about a minute; null if it never was' }),
};

const secret = z.string().nullable().meta({
  description: 'The key itself, shown this once; null when a repeated request is answered',
});

export const keyList = page(z.object(key).meta({ id: 'Key' })).meta({ id: 'KeyPage' });
export const keyCreated = z.object({ ...key, key: secret, ...writtenMembers }).meta({ id: 'KeyCreated' });
export const keyRotated = z.object({ ...key, key: secret, ...writtenMembers }).meta({ id: 'KeyRotated' });
export const keyRevoked = z.object({ ...key, ...writtenMembers }).meta({ id: 'KeyRevoked' });
