import { defineConfig } from 'vitest/config';

const database = { globalSetup: ['test/support/global-setup.ts'], testTimeout: 60_000, hookTimeout: 120_000 };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/{architecture,config,domain,http/unit,cli/unit,observability}/**/*.test.ts'],
          testTimeout: 60_000,
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
          globalSetup: [...database.globalSetup, 'test/support/build.ts'],
          testTimeout: 180_000,
        },
      },
    ],
  },
});
