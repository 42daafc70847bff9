import cors from '@fastify/cors';
import type { FastifyInstance } from 'fastify';
import { anybody } from '../access.ts';

const exposedHeaders = ['ETag', 'Retry-After', 'X-Request-Id', 'Rolecall-Revision'];
const allowedHeaders = [
  ...['Authorization', 'Content-Type', 'Idempotency-Key', 'If-Match', 'If-None-Match', 'Last-Event-ID'],
  ...['Rolecall-Act-For', 'X-Request-Id'],
];
const methods = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'];
/** Seconds for which a browser need not ask again whether it may ask. */
const maxAge = 600;

/**
 * Lets pages of these origins ask from browsers, and read what they need of the headers. Credentials are what a page
 * sends itself, never cookies. Whether a browser may ask is answered before anything looks at a credential. Without
 * origins there is nothing of it.
 */
export async function addCors(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return;
  app.addHook('onRoute', (route) => {
    if (route.method === 'OPTIONS') route.config = { ...route.config, ...anybody };
  });
  const origin = [...origins];
  await app.register(cors, {
    origin,
    methods,
    allowedHeaders,
    exposedHeaders,
    maxAge,
    strictPreflight: false,
  });
}
