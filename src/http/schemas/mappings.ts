import { z } from 'zod';
import { page, writtenMembers } from './answers.ts';
import { bodyMeta, listOf, roleKey, scope, text, timeOut } from './primitives.ts';
import { pageQuery } from './requests.ts';

const longestPlace = 200;

const issuer = z
  .string()
  .regex(/^[!-~]{1,255}$/, 'an issuer is a URL')
  .meta({ description: 'Exactly what tokens say in `iss`', examples: ['https://login.example.com/'] });

const claim = z
  .array(text(longestPlace, 1))
  .min(1)
  .max(5)
  .refine((names) => [...names.join('')].length <= longestPlace, {
    error: `the names have at most ${longestPlace} characters together`,
  })
  .meta({ description: 'The names that lead to the claim, from the outside in' });

export const createMappingBody = z
  .strictObject({
    issuer,
    claim,
    value: text(longestPlace, 1).meta({ description: 'Exactly the text, alone or one of a list' }),
    role: roleKey,
    scope: scope.optional(),
  })
  .meta(
    bodyMeta('CreateMappingRequest', {
      issuer: 'https://login.example.com/',
      claim: ['realm_access', 'roles'],
      value: 'warehouse',
      role: 'loader',
      scope: 'warehouse/north',
    }),
  );

export const mappingParams = z.strictObject({
  mapping: z
    .string()
    .regex(/^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/, 'the id of a mapping is a UUID')
    .meta({ description: 'The id of a mapping', examples: ['019aa3f0-7c1e-7f04-9d6b-2f6f0c1c9a55'] }),
});

export const mappingsQuery = z.strictObject({ issuer: issuer.optional(), ...pageQuery });

const mapping = {
  id: z.string(),
  issuer: z.string(),
  claim: listOf(z.string()),
  value: z.string(),
  role: z.string(),
  scope: z.string(),
  createdAt: timeOut,
};

const whole = z.object(mapping).meta({ id: 'Mapping' });

export const mappingList = page(whole).meta({ id: 'MappingPage' });
export const mappingWritten = z.object({ mapping: whole, ...writtenMembers }).meta({ id: 'MappingWritten' });
