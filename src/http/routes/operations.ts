import type { FastifyPluginAsyncZodOpenApi } from 'fastify-zod-openapi';
import { z } from 'zod';
import { RolecallError } from '../../domain/errors.ts';
import { type Metrics, metricsType } from '../../observability/metrics.ts';
import { dueIn } from '../../services/call.ts';
import type { Health } from '../../services/health.ts';
import { anybody, callersWith } from '../access.ts';
import { refusals } from '../schemas/answers.ts';
import { listOf } from '../schemas/primitives.ts';

/** What those who run the service ask it. */
export const operationRoutes: FastifyPluginAsyncZodOpenApi<{
  health: Health;
  metrics: Metrics;
  version: string;
  readinessTimeoutMs: number;
}> = async (app, { health, metrics, version, readinessTimeoutMs }) => {
  const tags = ['Operations'];

  app.route({
    method: 'GET',
    url: '/livez',
    config: { ...anybody, hot: true },
    schema: {
      operationId: 'getLiveness',
      summary: 'The process runs; never about the database',
      tags,
      response: { 200: z.object({ live: z.literal(true) }).meta({ id: 'Liveness' }) },
    },
    handler: async () => ({ live: true as const }),
  });

  const readiness = z
    .object({
      ready: z.boolean(),
      problems: listOf(
        z.object({
          problem: z.string(),
          command: z.string().nullable().meta({ description: 'The command that helps' }),
        }),
      ),
    })
    .meta({ id: 'Readiness' });

  app.route({
    method: 'GET',
    url: '/readyz',
    config: { ...anybody, hot: true },
    schema: {
      operationId: 'getReadiness',
      summary: 'Whether questions can be answered, and if not, what is missing and which command helps',
      tags,
      response: { 200: readiness, 503: readiness },
    },
    handler: async (_request, reply) => {
      const answer = await health.readiness(dueIn(readinessTimeoutMs));
      return reply.code(answer.ready ? 200 : 503).send(answer);
    },
  });

  app.route({
    method: 'GET',
    url: '/metrics',
    config: { ...callersWith('rolecall_read_metrics'), hot: true },
    schema: {
      operationId: 'getMetrics',
      summary: 'What the process counts, for Prometheus',
      tags,
      response: {
        200: { content: { 'text/plain': { schema: z.string() } }, description: 'In the text format 0.0.4' },
        ...refusals(),
      },
    },
    handler: async (_request, reply) => {
      const text = await metrics.text(readinessTimeoutMs).catch(() => {
        throw new RolecallError('unavailable', 'not all workers said what they counted in time');
      });
      return reply.type(metricsType).send(text);
    },
  });

  app.route({
    method: 'GET',
    url: '/version',
    config: anybody,
    schema: {
      operationId: 'getVersion',
      summary: 'The release that answers',
      tags,
      response: {
        200: z.object({ name: z.literal('rolecall'), version: z.string() }).meta({ id: 'Version' }),
      },
    },
    handler: async () => ({ name: 'rolecall' as const, version }),
  });
};
