import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

// Compiled first: tests start the program, and break copies of it, which Node loads without vitest.
const compiled = {
  globalSetup: ['test/support/build.ts'],
  server: { deps: { external: [/\/\.broken-builds\//] } },
  testTimeout: 60_000,
};
const database = {
  ...compiled,
  globalSetup: [...compiled.globalSetup, 'test/support/global-setup.ts'],
  hookTimeout: 120_000,
};

export default defineConfig({
  test: {
    // Half of a run is waiting, for COMMITs and for programs that start: on two cores one worker, the default, leaves one idle.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/{architecture,config,domain,http/unit,cli/unit,observability}/**/*.test.ts'],
          ...compiled,
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/{storage,services,http,contract,scenarios}/**/*.test.ts'],
          exclude: ['test/http/unit/**'],
          ...database,
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/{cli,e2e}/**/*.test.ts'],
          exclude: ['test/cli/unit/**'],
          ...database,
          testTimeout: 180_000,
        },
      },
    ],
  },
});
