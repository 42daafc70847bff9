import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

/** Debian's psql, of the oldest PostgreSQL that Rolecall runs on. */
const psql = '/usr/lib/postgresql/15/bin/psql';

/** Whether psql is there. The long run must not pass without it; `apt-get install -y postgresql` brings it. */
export function hasPsql(): boolean {
  if (existsSync(psql)) return true;
  if (process.env['TEST_LONG'] !== undefined)
    throw new Error(`the long run needs ${psql}: apt-get install -y postgresql`);
  return false;
}

/** Runs a file as people do. Rejects with what psql said if it fails. */
export async function runWithPsql(url: string, file: string): Promise<void> {
  await promisify(execFile)(psql, ['--no-psqlrc', '--quiet', '--file', file, url]);
}
