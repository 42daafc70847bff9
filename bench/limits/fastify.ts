/**
 * The most that Fastify can do: routes that take the same requests, check them with a JSON schema, and answer as many
 * bytes as Rolecall without knowing anything.
 */
import fastify from 'fastify';

const text = { type: 'string' } as const;
const revision = '0f3a9c51d2e7-42';

const app = fastify({ logger: false });

app.post(
  '/authorize',
  {
    schema: {
      body: {
        type: 'object',
        additionalProperties: false,
        required: ['permission'],
        properties: { user: text, permission: text, scope: text, freshness: { enum: ['latest', 'lease'] } },
      },
      response: {
        200: {
          type: 'object',
          required: ['allowed', 'permission', 'revision'],
          properties: { allowed: { type: 'boolean' }, permission: text, revision: text },
        },
      },
    },
  },
  (request, reply) => {
    const { permission } = request.body as { permission: string };
    reply.send({ allowed: true, permission, revision });
  },
);

app.get(
  '/users/:user/permissions',
  { schema: { response: { 200: { type: 'object', properties: { user: text, revision: text } } } } },
  (request, reply) => {
    const { user } = request.params as { user: string };
    reply.send({ user, revision });
  },
);

process.stdout.write(`listening on ${await app.listen({ port: 0, host: '127.0.0.1' })}\n`);
