import type { FastifySchemaCompiler } from 'fastify';
import { validatorCompiler } from 'fastify-zod-openapi';
import type { ZodType } from 'zod';
import { noQuery } from './query-string.ts';

/** Holds inputs to their schemas. What a schema makes of no query is found out once, and not for each request. */
export const inputValidator: FastifySchemaCompiler<ZodType> = (input) => {
  const validate = validatorCompiler(input);
  if (input.httpPart !== 'querystring') return validate;
  const none = validate(noQuery) as { readonly value?: unknown };
  Object.freeze(none.value);
  return (query) => (query === noQuery && 'value' in none ? none : validate(query));
};
