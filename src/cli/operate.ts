import { loadConfig } from '../config/config.ts';
import { createLogger } from '../observability/logger.ts';
import { openRuntime, type Runtime } from '../runtime.ts';
import { type Call, operatorCall } from '../services/call.ts';

/**
 * Does something as the operator of the database, who may take so many milliseconds for each statement and each call, where
 * a request has `ROLECALL_REQUEST_TIMEOUT_MS`.
 */
export async function operate<T>(
  timeoutMs: number,
  work: (runtime: Runtime, call: Call) => Promise<T>,
): Promise<T> {
  const config = { ...loadConfig(['database', 'journalKey']), requestTimeoutMs: timeoutMs };
  const runtime = await openRuntime(config, createLogger('warn', process.stderr));
  try {
    return await work(runtime, operatorCall(timeoutMs));
  } finally {
    await runtime.close();
  }
}
