import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Command } from 'commander';
import { type Config, loadConfig, type Settings } from '../../config/config.ts';
import { Secret } from '../../config/secrets.ts';
import { RolecallError } from '../../domain/errors.ts';
import type { RoleKey, UserId } from '../../domain/ids.ts';
import { createLogger } from '../../observability/logger.ts';
import { openRuntime, type Runtime } from '../../runtime.ts';
import { operatorCall } from '../../services/call.ts';
import { claimDatabase, startOwnDatabase } from '../../storage/development.ts';
import { readSteps } from '../../storage/migrations/steps.ts';
import { migrateUp } from '../../storage/migrations/up.ts';
import { curlUser, seedDemo } from '../demo.ts';
import { readMatrixFile, shippedBaseline } from '../matrix-files.ts';
import { print, progress } from '../output.ts';
import { listen, untilStopped } from './serve.ts';

interface DevOptions {
  readonly data: string;
  readonly databaseUrl?: string;
}

const administrator = 'admin';
const seedTimeoutMs = 60_000;

export function addDev(program: Command): void {
  program
    .command('dev')
    .description('try Rolecall: its own PostgreSQL, the baseline, a few demo people and a key')
    .option('--data <folder>', 'where everything of it is kept', '.rolecall')
    .option(
      '--database-url <url>',
      'a PostgreSQL on this machine, empty or used by dev before, instead of its own',
    )
    .action(run);
}

async function run({ data, databaseUrl }: DevOptions): Promise<void> {
  const started = performance.now();
  const settings = loadConfig([]);
  refuseOutsideDevelopment(settings);
  await mkdir(data, { recursive: true });

  progress('starting the database');
  const database = databaseUrl
    ? await claimDatabase(databaseUrl)
    : await startOwnDatabase(join(data, 'postgres'));
  try {
    const journalKey = await kept(join(data, 'journal-key'), async () => randomBytes(32).toString('hex'));
    const config: Config<['database', 'journalKey']> = {
      ...settings,
      databaseUrl: new Secret(database.url),
      journalKey: new Secret(journalKey),
      // The block below is to be the last thing on the terminal until something is wrong.
      logLevel: settings.logLevel === 'info' ? 'warn' : settings.logLevel,
    };
    await writePrivately(
      join(data, 'env'),
      `DATABASE_URL=${database.url}\nROLECALL_JOURNAL_KEY=${journalKey}\n`,
    );
    const logger = createLogger(config.logLevel, process.stdout);
    const runtime = await openRuntime(config, logger);
    try {
      await prepare(runtime, database.url, journalKey);
      const key = await administratorKey(runtime, join(data, 'admin-key'));
      const stopped = untilStopped();
      const service = await listen(config, runtime, logger);
      print(welcome(service.url, key, database.location, data));
      print(`Ready in ${((performance.now() - started) / 1_000).toFixed(1)} s`);
      await service.close(await stopped);
    } finally {
      await runtime.close();
    }
  } finally {
    await database.stop();
  }
}

/** Throws `forbidden` where demo people and a key on disk have no place. */
function refuseOutsideDevelopment({ nodeEnv, host }: Settings): void {
  if (nodeEnv === 'production')
    throw new RolecallError('forbidden', 'dev is not for production: use `rolecall serve`');
  if (!/^(localhost|127(\.\d{1,3}){3}|::1)$/.test(host))
    throw new RolecallError(
      'forbidden',
      'dev listens on this machine only: leave HOST out or set it to 127.0.0.1',
    );
}

async function prepare(runtime: Runtime, url: string, journalKey: string): Promise<void> {
  progress('migrating');
  await migrateUp({ url, steps: await readSteps(), journalKey });
  progress('applying the matrix');
  const call = () => operatorCall(seedTimeoutMs);
  const [last] = await runtime.matrixRecord.history(call());
  // What somebody applied to try it stays, and permissions of the service that are new come along.
  const layers = last
    ? await runtime.matrixRecord.layersAt(call(), last.revision)
    : [await readMatrixFile(shippedBaseline)];
  await runtime.matrix.apply(call(), layers);
  await seedDemo(runtime, operatorCall(seedTimeoutMs), Date.now());
}

/** The kept key, if it is one of this database; another one otherwise. */
async function administratorKey(runtime: Runtime, path: string): Promise<string> {
  const key = await kept(path, () => makeKey(runtime));
  const { deadline } = operatorCall(seedTimeoutMs);
  try {
    await runtime.authentication.authenticate(`Bearer ${key}`, deadline, { ip: '127.0.0.1' });
    return key;
  } catch (error) {
    if (!(error instanceof RolecallError && error.code === 'unauthenticated')) throw error;
  }
  const made = await makeKey(runtime);
  await writePrivately(path, `${made}\n`);
  return made;
}

/** The key of the demo's administrator: the first one with the role, a further key if the file with it was lost. */
async function makeKey({ apiKeys }: Runtime): Promise<string> {
  const provision = (role: RoleKey | null) =>
    apiKeys.provision(operatorCall(seedTimeoutMs), administrator as UserId, role);
  const made = await provision('admin' as RoleKey).catch((error: unknown) => {
    if (error instanceof RolecallError && error.code === 'forbidden') return provision(null);
    throw error;
  });
  return made.value.key ?? '';
}

/** What a file holds, or what is made and put into it when it is not there: secrets, so only for its owner to read. */
async function kept(path: string, make: () => Promise<string>): Promise<string> {
  const found = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return '';
    throw error;
  });
  if (found.trim()) return found.trim();
  const made = await make();
  await writePrivately(path, `${made}\n`);
  return made;
}

async function writePrivately(path: string, text: string): Promise<void> {
  await writeFile(path, text, { mode: 0o600 });
}

function welcome(url: string, key: string, location: string, data: string): string {
  return `
  API       ${url}
  Docs      ${url}/docs
  Database  ${location}
  Key       ${key}

  Ask what ${curlUser} may do:

  curl -s -H 'Authorization: Bearer ${key}' ${url}/users/${curlUser}/permissions

  Other commands on this database:

  node --env-file=${join(data, 'env')} bin/rolecall.js migrate status
`;
}
