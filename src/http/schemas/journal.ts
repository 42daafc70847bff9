import { z } from 'zod';
import { page } from './answers.ts';
import { listOf, permission, revisionOut, roleKey, timeIn, timeOut, userId } from './primitives.ts';
import { pageQuery } from './requests.ts';

const kind = z.string().regex(/^[a-z]+(_[a-z]+)+$/, 'a kind of entry is a noun and a verb, as grant_set');

export const journalQuery = z.strictObject({
  user: userId.optional().meta({ description: 'Changes of this user; also of one who had the id before' }),
  role: roleKey.optional().meta({ description: 'Changes of this role and of its grants' }),
  permission: permission
    .optional()
    .meta({ description: 'Changes of this permission, its edges and exceptions' }),
  actor: userId.optional().meta({ description: 'Changes that this user made' }),
  kind: kind
    .max(50)
    .optional()
    .meta({ description: 'Entries of this kind', examples: ['grant_set'] }),
  from: timeIn.optional().meta({ description: 'Not before this time' }),
  to: timeIn.optional().meta({ description: 'Not after this time' }),
  ...pageQuery,
});

const anything = z.unknown().meta({
  description:
    'As it was and as it is; null where there was nothing. `startsAt` and `expiresAt` are RFC 3339, UTC, or null',
});

const through = z.string().nullable().optional().meta({
  description: 'Who acted for the user, if somebody did; null if they were erased',
});

const journalEntry = z
  .object({
    revision: revisionOut,
    number: z.int().meta({ description: 'Among the entries of its revision, from 1 on' }),
    time: z.string().meta({
      description: 'RFC 3339, UTC, with microseconds',
      examples: ['2027-01-31T12:00:00.000417Z'],
    }),
    kind: z.string().meta({ examples: ['grant_set'] }),
    actor: z.object({
      kind: z.enum(['user', 'operator', 'service']),
      user: z.string().nullable().meta({ description: 'Null also for a user who was erased' }),
      key: z.string().nullable().meta({ description: 'The id of the API key, as long as it is there' }),
      through,
      issuer: z.string().optional().meta({
        description: 'The provider whose token was used, if one was and the identity is still linked',
      }),
    }),
    requestId: z.string().nullable(),
    user: z.string().nullable().meta({ description: 'Whom it is about, if anybody' }),
    erased: z.boolean().meta({ description: 'It is about somebody who was erased' }),
    before: anything,
    after: anything,
    personal: z.record(z.string(), z.string()).meta({
      description: 'Ids, e-mail addresses and free text, as far as they were not erased',
    }),
  })
  .meta({ id: 'JournalEntry' });

export const journalPage = page(journalEntry).meta({
  id: 'JournalPage',
  description: 'The newest first. A page may be shorter than its limit: only a null cursor is the end',
  examples: [
    {
      data: [
        {
          revision: '0f3a9c51d2e7-42',
          number: 1,
          time: '2027-01-31T12:00:00.000417Z',
          kind: 'grant_set',
          actor: { kind: 'user', user: 'root', key: '4hW9cYp0QzLm' },
          requestId: '6f1c9f5e2f534a559f5e0f7c',
          user: 'maria',
          erased: false,
          before: null,
          after: { role: 'loader', scope: 'warehouse/north', origin: 'api', startsAt: null, expiresAt: null },
          personal: { reason: 'stock-taking' },
        },
      ],
      nextCursor: null,
    },
  ],
});

export const chainQuery = z.strictObject({
  after: z.string().max(4_000).optional().meta({ description: '`nextCursor` of the call before' }),
});

export const chainAnswer = z
  .object({
    rows: z.int().meta({ description: 'How many entries this call looked at' }),
    broken: z.string().nullable().meta({ description: 'What is wrong with the first entry that is' }),
    wholeUpTo: revisionOut.meta({ description: 'The revision up to which all is whole' }),
    nextCursor: z
      .string()
      .nullable()
      .meta({ description: 'Goes on; null when there is nothing more to find' }),
  })
  .meta({ id: 'ChainReport' });

export const denialsQuery = z.strictObject(pageQuery);

const denial = z
  .object({
    time: timeOut,
    actor: z.string().nullable(),
    through,
    key: z.string().nullable(),
    requestId: z.string().meta({ description: 'Of the first' }),
    method: z.string(),
    route: z.string().meta({ examples: ['/users/{user}/roles/{role}'] }),
    code: z.string().meta({ examples: ['exceeds_own_access'] }),
    subject: z
      .string()
      .nullable()
      .meta({ description: 'The user whom it was about, if anybody was ever known by that id' }),
    target: z.string().nullable().meta({ description: 'What else the path named' }),
    scope: z.string().nullable(),
    times: z.int().meta({ description: 'How often the same was refused within a moment' }),
  })
  .meta({ id: 'Denial' });

export const denialPage = z
  .object({ data: listOf(denial), nextCursor: z.string().nullable() })
  .meta({ id: 'DenialPage', description: 'The newest first; no more than the newest 100,000 are kept' });
