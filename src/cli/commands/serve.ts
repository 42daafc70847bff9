import cluster from 'node:cluster';
import { type Command, CommanderError } from 'commander';
import { type Config, loadConfig } from '../../config/config.ts';
import { buildServer } from '../../http/server.ts';
import { logListening, logStopping } from '../../observability/events.ts';
import { createLogger, type Logger } from '../../observability/logger.ts';
import { openRuntime, type Runtime } from '../../runtime.ts';
import { exitCodes } from '../exit-codes.ts';
import { stopGracefully } from '../graceful-stop.ts';
import { readVersion } from '../release.ts';
import { runWorkers } from '../workers.ts';

export function addServe(program: Command): void {
  program
    .command('serve')
    .description('answer requests; never migrates, seeds or creates anything')
    .action(async () => {
      const config = loadConfig(['database', 'journalKey']);
      const stopped = untilStopped();
      if (config.workers > 1 && cluster.isPrimary) {
        const ports = config.adminPort === undefined ? 1 : 2;
        const code = await runWorkers(config.workers, ports, stopped);
        if (code !== exitCodes.done) throw new CommanderError(code, 'rolecall.workers', '');
        return;
      }
      const logger = createLogger(config.logLevel, process.stdout);
      const runtime = await openRuntime(config, logger);
      try {
        const service = await listen(config, runtime, logger);
        await service.close(await stopped);
      } finally {
        await runtime.close();
        // The channel to the process above would keep a worker alive.
        if (cluster.isWorker) process.disconnect();
      }
    });
}

export interface ListeningService {
  readonly url: string;
  /** Says that it is not ready, answers whoever still asks, and hangs up. */
  close(signal: NodeJS.Signals): Promise<void>;
}

export async function listen(
  config: Config<['database', 'journalKey']>,
  runtime: Runtime,
  logger: Logger,
): Promise<ListeningService> {
  runtime.listen();
  const { port, adminPort } = config;
  const open = async (at: number, answers: 'checks' | 'everything') => {
    const app = await buildServer(runtime, {
      answers,
      version: readVersion(),
      corsOrigins: config.corsOrigins,
      requestTimeoutMs: config.requestTimeoutMs,
      batchTimeoutMs: config.batchTimeoutMs,
      logger,
    });
    const url = await app.listen({ host: config.host, port: at });
    logListening(logger, url);
    return { app, url };
  };
  const main = await open(port, adminPort === undefined ? 'everything' : 'checks');
  const opened = [main];
  if (adminPort !== undefined)
    opened.push(
      await open(adminPort, 'everything').catch(async (error) => {
        // It would keep the process alive, and answer that the service is stopping.
        await main.app.close();
        throw error;
      }),
    );
  return {
    url: main.url,
    close: async (signal) => {
      logStopping(logger, signal);
      runtime.health.leave();
      await Promise.all(opened.map(({ app }) => stopGracefully(app)));
    },
  };
}

/**
 * Resolves on the first SIGTERM or SIGINT. A second one ends the process at once, but for a worker: a signal to a whole
 * process group reaches it twice, by itself and from the process above.
 */
export function untilStopped(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const stop = (signal: NodeJS.Signals) => {
      if (!cluster.isWorker) {
        process.removeListener('SIGTERM', stop);
        process.removeListener('SIGINT', stop);
      }
      resolve(signal);
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
    // Of several workers: the process above them is gone, and nobody else will tell this one to stop.
    process.once('disconnect', () => stop('SIGTERM'));
  });
}
