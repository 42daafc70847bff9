import { z } from 'zod';
import { problemSchema } from '../problem.ts';
import { listOf, revisionOut, slugs, timeOut } from './primitives.ts';

const impact = z
  .object({
    users: z.int().meta({ description: 'How many users could do something else at once' }),
    gaining: z.int(),
    losing: z.int(),
    changes: listOf(
      z
        .object({
          user: z.string(),
          scopes: listOf(z.object({ scope: z.string(), gained: slugs, lost: slugs })).meta({
            description: 'Each scope at which the user has something and could do something else',
          }),
        })
        .meta({ id: 'UserImpact' }),
    ).meta({ description: 'Up to 100 users, as far as the caller may see them' }),
    usersLeftOut: z.int(),
  })
  .meta({ id: 'Impact' });

/** What the answer to every write carries besides what it made. */
export const writtenMembers = {
  revision: revisionOut,
  changed: z.boolean().meta({ description: 'false if everything was so already' }),
  dryRun: z.literal(true).optional().meta({ description: 'Only when nothing was kept' }),
  impact: impact.optional().meta({ description: 'Only of a dry run: what the write would do to users' }),
};

/** What an answer about the past carries besides. */
export const pastMembers = {
  at: timeOut
    .optional()
    .meta({ description: 'Only of the past: the time at which starts and ends were judged' }),
};

export function page<Item extends z.ZodType>(item: Item) {
  return z.object({ data: listOf(item), nextCursor: z.string().nullable() });
}

const refusalMeanings = {
  400: 'Bad input',
  401: 'No valid credential',
  403: 'The caller may not',
  404: 'Named something that does not exist',
  409: 'Refused because of what stands',
  412: 'Changed meanwhile',
  413: 'The body is too large',
  415: 'The body is not declared as JSON',
  422: 'Idempotency-Key came with another request before',
  428: 'If-Match is missing',
  429: 'Too many requests of this caller',
  503: 'The service cannot know, or is not ready',
} as const;

type Refusal = keyof typeof refusalMeanings;

interface RefusalResponse {
  readonly description: string;
  readonly content: { readonly 'application/problem+json': { readonly schema: typeof problemSchema } };
}

/** The problems a route may answer with: those of every authenticated route and these of its own. */
export function refusals<Own extends Refusal = never>(...own: readonly Own[]) {
  const statuses: readonly Refusal[] = [400, 401, 403, ...own, 429, 503];
  // Each route gets objects of its own: the generator of the document describes an object only where it first sees it.
  return Object.fromEntries(
    statuses.map((status) => [
      status,
      {
        description: refusalMeanings[status],
        content: { 'application/problem+json': { schema: problemSchema } },
      },
    ]),
  ) as Record<400 | 401 | 403 | 429 | 503 | Own, RefusalResponse>;
}
