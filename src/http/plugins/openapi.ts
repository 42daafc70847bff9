import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { fastifyZodOpenApiPlugin, fastifyZodOpenApiTransformers } from 'fastify-zod-openapi';
import { accessOf, anybody } from '../access.ts';

const description = `Role-based access control: who may do what, where, now.

Permissions go out as slugs, \`adminpanel.view_dashboard\` as \`adminpanel_view_dashboard\`; they come in as
\`resource.action\`, \`resource:action\` or the slug. A denial is an answer, not an error. Errors are problem documents
(RFC 9457) with a \`code\` from a closed list.`;

/** Describes every route that is registered after it as OpenAPI 3.1, from the schemas that validate. */
export async function addOpenApi(app: FastifyInstance, version: string): Promise<void> {
  await app.register(fastifyZodOpenApiPlugin);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Rolecall',
        version,
        description,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/' }],
      tags: [
        'Checks',
        'Grants',
        'Users',
        'Roles',
        'Permissions',
        'Matrix',
        'Mappings',
        'Keys',
        'Settings',
        'Journal',
        'Operations',
      ].map((name) => ({
        name,
      })),
      components: {
        securitySchemes: {
          apiKey: { type: 'http', scheme: 'bearer', bearerFormat: 'API key `rc_…`' },
          accessToken: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT of an OpenID provider' },
        },
      },
    },
    transform: (route) => {
      const transformed = fastifyZodOpenApiTransformers.transform(route);
      const access = accessOf(route.route.config);
      const security = access?.who === 'anybody' ? [] : [{ apiKey: [] }, { accessToken: [] }];
      const needs = access?.who === 'callers with' ? access : undefined;
      const described = needs && {
        description: `Needs \`${needs.permission}\`, ${scopes[needs.scope]}${needs.aboutOthers ? '; nothing to ask about oneself' : ''}.`,
      };
      return { ...transformed, schema: { ...described, ...transformed.schema, security } };
    },
    transformObject: (document) =>
      withOptionalBodies(fastifyZodOpenApiTransformers.transformObject(document)),
  });
}

const scopes = {
  query: 'in the scope of the query',
  body: 'in each scope that the body names',
  everywhere: 'everywhere',
  held: 'wherever: what is answered lies where the caller has it',
};

const optionalMark = 'x-fastify-zod-openapi-optional';

interface OpenApiOperation {
  readonly requestBody?: {
    required?: boolean;
    readonly content?: Record<string, { readonly schema?: Record<string, unknown> }>;
  };
}

/** The generator marks a body that may be left out and then declares it as required all the same. */
function withOptionalBodies<Document extends object>(document: Document): Document {
  const { paths } = document as { paths?: Record<string, Record<string, OpenApiOperation>> };
  for (const { requestBody } of Object.values(paths ?? {}).flatMap((path) => Object.values(path))) {
    const schema = requestBody?.content?.['application/json']?.schema;
    if (!requestBody || schema?.[optionalMark] === undefined) continue;
    if (schema[optionalMark]) requestBody.required = false;
    delete schema[optionalMark];
  }
  return document;
}

/** The document and the pages that show it. Both are open to anybody and say nothing about anybody. */
export const documentation: FastifyPluginAsync = async (app) => {
  app.addHook('onRoute', (route) => {
    route.config = { ...route.config, ...anybody };
  });
  app.get('/openapi.json', { schema: { hide: true } }, async () => app.swagger());
  await app.register(swaggerUi, { routePrefix: '/docs', staticCSP: true });
};
