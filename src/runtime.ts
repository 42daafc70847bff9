import type { Config } from './config/config.ts';
import { type ApiKeys, openApiKeys } from './services/api-keys.ts';
import { type Authentication, openAuthentication } from './services/authentication.ts';
import { type AccessCheck, openAccessCheck } from './services/decisions/access-check.ts';
import { type Exceptions, openExceptions } from './services/exceptions.ts';
import { type Grants, openGrants } from './services/grants.ts';
import { type Health, openHealth } from './services/health.ts';
import { type Matrix, openMatrix } from './services/matrix.ts';
import { openPermissions, type Permissions } from './services/permissions.ts';
import { openRoleEdges, type RoleEdgeService } from './services/role-edges.ts';
import { openRoles, type Roles } from './services/roles.ts';
import { openUsers, type Users } from './services/users.ts';
import { openDatabase } from './storage/database.ts';
import { readSteps } from './storage/migrations/steps.ts';
import { openCursors } from './storage/pagination.ts';
import { openTransactions } from './storage/transaction.ts';

/** Everything that lives as long as the process, built once. */
export interface Runtime {
  readonly authentication: Authentication;
  readonly accessCheck: AccessCheck;
  readonly users: Users;
  readonly grants: Grants;
  readonly exceptions: Exceptions;
  readonly roles: Roles;
  readonly roleEdges: RoleEdgeService;
  readonly permissions: Permissions;
  readonly apiKeys: ApiKeys;
  readonly matrix: Matrix;
  readonly health: Health;
  /** Lets open statements finish and closes the pool. */
  close(): Promise<void>;
}

/** Builds the services on a database that need not be there yet: connections are made when first needed. */
export async function openRuntime(config: Config<['database', 'journalKey']>): Promise<Runtime> {
  const journalKey = config.journalKey.reveal();
  const steps = await readSteps();
  const database = openDatabase({
    url: config.databaseUrl.reveal(),
    poolSize: config.poolSize,
    connectTimeoutMs: config.connectTimeoutMs,
    statementTimeoutMs: config.requestTimeoutMs,
  });
  const transactions = openTransactions(database, journalKey);
  const cursors = openCursors(journalKey);
  return {
    authentication: openAuthentication(database),
    accessCheck: openAccessCheck(database),
    users: openUsers(transactions, cursors),
    grants: openGrants(transactions, cursors),
    exceptions: openExceptions(transactions),
    roles: openRoles(transactions, cursors),
    roleEdges: openRoleEdges(transactions),
    permissions: openPermissions(transactions, cursors),
    apiKeys: openApiKeys(transactions, cursors),
    matrix: openMatrix(transactions),
    health: openHealth(database, steps, journalKey),
    close: () => database.close(),
  };
}
