import { createServer } from 'node:http';
import fastify, { type FastifyInstance } from 'fastify';
import { createSerializerCompiler } from 'fastify-zod-openapi';
import type { Logger } from '../observability/logger.ts';
import type { Metrics } from '../observability/metrics.ts';
import type { ApiKeys } from '../services/api-keys.ts';
import type { Authentication } from '../services/authentication.ts';
import type { AccessCheck } from '../services/decisions/access-check.ts';
import type { Explanations } from '../services/decisions/explanations.ts';
import type { Freshness } from '../services/decisions/freshness.ts';
import type { Holders } from '../services/decisions/holders.ts';
import type { Past } from '../services/decisions/past.ts';
import type { PastHolders } from '../services/decisions/past-holders.ts';
import type { Denials } from '../services/denials.ts';
import type { Doorstep } from '../services/doorstep.ts';
import type { Events } from '../services/events.ts';
import type { Exceptions } from '../services/exceptions.ts';
import type { GrantBatches } from '../services/grant-batches.ts';
import type { Grants } from '../services/grants.ts';
import type { Health } from '../services/health.ts';
import type { Identities } from '../services/identities.ts';
import type { Journal } from '../services/journal.ts';
import type { Limits } from '../services/limits.ts';
import type { Mappings } from '../services/mappings.ts';
import type { Matrix } from '../services/matrix/matrix.ts';
import type { Permissions } from '../services/permissions.ts';
import type { RoleEdgeService } from '../services/role-edges.ts';
import type { Roles } from '../services/roles.ts';
import type { Settings } from '../services/settings.ts';
import type { Users } from '../services/users.ts';
import { Arrival, gatherArrivals } from './arrivals.ts';
import { answerBrokenRequest } from './broken-requests.ts';
import { endWithoutStacks } from './hanging-up.ts';
import { inputValidator } from './input-validator.ts';
import { oneAtATime } from './one-at-a-time.ts';
import { addAccessLog } from './plugins/access-log.ts';
import { addAuthorization } from './plugins/authorization.ts';
import { addCors } from './plugins/cors.ts';
import { addDenials } from './plugins/denials.ts';
import { addDoorstep } from './plugins/doorstep.ts';
import { addFraming } from './plugins/framing.ts';
import { addJsonBodies } from './plugins/json-bodies.ts';
import { addLimits } from './plugins/limits.ts';
import { addOpenApi, documentation } from './plugins/openapi.ts';
import { addProblems, sendProblem, toProblem } from './plugins/problems.ts';
import { addRequestState } from './plugins/request-state.ts';
import { addStrictInputs } from './plugins/strict-inputs.ts';
import { parseQueryString } from './query-string.ts';
import { requestIdOf } from './request-ids.ts';
import { apiKeyRoutes } from './routes/api-keys.ts';
import { authorizeRoutes } from './routes/authorize.ts';
import { eventRoutes } from './routes/events.ts';
import { exceptionRoutes } from './routes/exceptions.ts';
import { explanationRoutes } from './routes/explanations.ts';
import { grantBatchRoutes } from './routes/grant-batches.ts';
import { grantRoutes } from './routes/grants.ts';
import { holderRoutes } from './routes/holders.ts';
import { identityRoutes } from './routes/identities.ts';
import { journalRoutes } from './routes/journal.ts';
import { mappingRoutes } from './routes/mappings.ts';
import { matrixRoutes } from './routes/matrix.ts';
import { operationRoutes } from './routes/operations.ts';
import { permissionRoutes } from './routes/permissions.ts';
import { roleEdgeRoutes } from './routes/role-edges.ts';
import { roleRoutes } from './routes/roles.ts';
import { settingRoutes } from './routes/settings.ts';
import { userPermissionRoutes } from './routes/user-permissions.ts';
import { userRoutes } from './routes/users.ts';

export interface Services {
  readonly authentication: Authentication;
  readonly accessCheck: AccessCheck;
  readonly events: Events;
  readonly freshness: Pick<Freshness, 'expectQuestions'>;
  readonly explanations: Explanations;
  readonly holders: Holders;
  readonly past: Past;
  readonly pastHolders: PastHolders;
  readonly users: Users;
  readonly identities: Identities;
  readonly grants: Grants;
  readonly grantBatches: GrantBatches;
  readonly exceptions: Exceptions;
  readonly roles: Roles;
  readonly roleEdges: RoleEdgeService;
  readonly permissions: Permissions;
  readonly matrix: Matrix;
  readonly apiKeys: ApiKeys;
  readonly mappings: Mappings;
  readonly settings: Settings;
  readonly journal: Journal;
  readonly denials: Denials;
  readonly doorstep: Doorstep;
  readonly limits: Limits;
  readonly health: Health;
  readonly metrics: Metrics;
}

export interface ServerOptions {
  /** `checks` leaves administration out: its routes are 404. Everything, if left out. */
  readonly answers?: 'checks' | 'everything';
  readonly version: string;
  /** Whose pages in browsers may ask; nobody's, if left out. */
  readonly corsOrigins?: readonly string[];
  readonly requestTimeoutMs: number;
  /** The same for batches; `requestTimeoutMs` if left out. */
  readonly batchTimeoutMs?: number;
  readonly logger: Logger;
}

/** Fastify sets nothing of a server that it did not make. */
const transport = {
  IncomingMessage: Arrival,
  requestTimeout: 30_000,
  keepAliveTimeout: 72_000,
  // A header that may come once and came twice is joined, and so refused, instead of its first being taken; the hook
  // that asks for the host answers as everything else does.
  joinDuplicateHeaders: true,
  requireHostHeader: false,
};
const largestBody = 1_048_576;
/** The longest id, 255 code points of 4 bytes, percent-encoded. */
const longestParameter = 255 * 4 * 3;
/** The share of the time that is left for turning a late failure into an answer. */
const answerShare = 0.05;

/** Builds the app without listening: the order of what follows is the order in which a request meets it. */
export async function buildServer(services: Services, options: ServerOptions): Promise<FastifyInstance> {
  const { logger, requestTimeoutMs, batchTimeoutMs = requestTimeoutMs } = options;
  const app: FastifyInstance = fastify({
    // With one of its own it would listen to the end of each answer, to log it: our log is told of those that it is for.
    logger: false,
    genReqId: (request) => requestIdOf(request.headers['x-request-id']),
    requestIdHeader: false,
    bodyLimit: largestBody,
    exposeHeadRoutes: false,
    serverFactory: (handle) =>
      createServer(
        transport,
        oneAtATime(gatherArrivals(handle, services.freshness), services.limits.noteFlood),
      ).on('connection', endWithoutStacks),
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: longestParameter, querystringParser: parseQueryString },
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, request, reply) => void sendProblem(logger, toProblem(error), request, reply),
  });
  app.setValidatorCompiler(inputValidator);
  // Every answer that is not sent as text has passed its zod schema by then, so there is nothing for a schema-driven serializer to add.
  app.setSerializerCompiler(createSerializerCompiler({ stringify: JSON.stringify }));

  addRequestState(app, requestTimeoutMs * (1 - answerShare), batchTimeoutMs * (1 - answerShare));
  addAccessLog(app, logger, logger.isLevelEnabled('debug'));
  addProblems(app, logger);
  addFraming(app);
  addJsonBodies(app);
  addStrictInputs(app);
  addLimits(app, services);
  addDoorstep(app, services);
  addAuthorization(app, services);
  addDenials(app, services);
  await addCors(app, options.corsOrigins ?? []);
  await addOpenApi(app, options.version);

  await app.register(authorizeRoutes, services);
  await app.register(userPermissionRoutes, services);
  await app.register(eventRoutes, services);
  if (options.answers !== 'checks') await addAdministration(app, services);
  await app.register(operationRoutes, {
    health: services.health,
    metrics: services.metrics,
    version: options.version,
    readinessTimeoutMs: requestTimeoutMs * (1 - 2 * answerShare),
  });
  await app.register(documentation);
  return app;
}

/** Everything but checks and operations: what is better not within reach of whoever may ask. */
async function addAdministration(app: FastifyInstance, services: Services): Promise<void> {
  await app.register(explanationRoutes, services);
  await app.register(holderRoutes, services);
  await app.register(grantRoutes, services);
  await app.register(grantBatchRoutes, services);
  await app.register(exceptionRoutes, services);
  await app.register(userRoutes, services);
  await app.register(identityRoutes, services);
  await app.register(roleRoutes, services);
  await app.register(roleEdgeRoutes, services);
  await app.register(permissionRoutes, services);
  await app.register(matrixRoutes, services);
  await app.register(apiKeyRoutes, services);
  await app.register(mappingRoutes, services);
  await app.register(settingRoutes, services);
  await app.register(journalRoutes, services);
}
