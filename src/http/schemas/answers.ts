import { z } from 'zod';
import { problemSchema } from '../problem.ts';
import { listOf, revisionOut } from './primitives.ts';

/** What the answer to every write carries besides what it made. */
export const writtenMembers = {
  revision: revisionOut,
  changed: z.boolean().meta({ description: 'false if everything was so already' }),
  dryRun: z.literal(true).optional().meta({ description: 'Only when nothing was kept' }),
};

export function page<Item extends z.ZodType>(item: Item) {
  return z.object({ data: listOf(item), nextCursor: z.string().nullable() });
}

const problemBody = { 'application/problem+json': { schema: problemSchema } };

function problem(description: string) {
  return { description, content: problemBody };
}

/** The problems that any authenticated route may answer with. */
export const commonProblems = {
  400: problem('Bad input'),
  401: problem('No valid credential'),
  403: problem('The caller may not'),
  503: problem('The service cannot know, or is not ready'),
};

export const notFound = { 404: problem('Named something that does not exist') };
export const conflict = { 409: problem('Refused because of what stands') };
export const unprocessable = { 422: problem('Idempotency-Key came with another request before') };
export const preconditions = { 412: problem('Changed meanwhile'), 428: problem('If-Match is missing') };
