import { runCommandLine } from './cli/index.ts';
import { keepTicksQuick } from './cli/quick-ticks.ts';

keepTicksQuick();
process.exitCode = await runCommandLine(process.argv.slice(2));
