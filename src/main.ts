import { runCommandLine } from './cli/index.ts';
import { keepTicksQuick } from './cli/quick-ticks.ts';

keepTicksQuick();
// Whoever read it has had enough: nothing that was done is undone for that.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});
process.exitCode = await runCommandLine(process.argv.slice(2));
