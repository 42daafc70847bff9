import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** The folder of the project. */
export const projectRoot = fileURLToPath(new URL('../../', import.meta.url));

/** vitest's global setup of every project: the program that tests start or break is the one of these sources. */
export default async function build(): Promise<void> {
  await promisify(execFile)('npm', ['run', '--silent', 'build'], { cwd: projectRoot });
}
