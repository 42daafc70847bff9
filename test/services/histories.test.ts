import { pino } from 'pino';
import { it } from 'vitest';
import { buildServer } from '../../src/http/server.ts';
import { operatorCall } from '../../src/services/call.ts';
import { createTestDatabase } from '../support/database.ts';
import { openTestRuntime } from '../support/runtime.ts';

it('measures', async () => {
  const sums: Record<string, number> = {};
  const t = async <T>(label: string, f: () => Promise<T>) => {
    const s = performance.now();
    const r = await f();
    sums[label] = (sums[label] ?? 0) + performance.now() - s;
    return r;
  };
  for (let i = 0; i < 20; i++) {
    const db = await t('clone', () => createTestDatabase());
    const runtime = await t('runtime', () => openTestRuntime(db.url));
    const app = await t('build', async () => {
      const app = await buildServer(runtime, {
        version: '0.0.0-test',
        requestTimeoutMs: 20000,
        logger: pino({ level: 'silent' }),
      });
      await app.ready();
      return app;
    });
    await t('provision', () =>
      runtime.apiKeys.provision(operatorCall(20_000), 'root' as never, 'admin' as never),
    );
    await t('close app', () => app.close().then(() => runtime.close()));
    await t('drop', () => db.drop());
  }
  process.stdout.write(
    JSON.stringify(Object.fromEntries(Object.entries(sums).map(([k, v]) => [k, v / 20])), null, 1),
  );
});
