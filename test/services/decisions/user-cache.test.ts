import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import type { UserId } from '../../../src/domain/ids.ts';
import { settingValues } from '../../../src/domain/settings.ts';
import { Mirror, type Snapshot } from '../../../src/services/decisions/mirror.ts';
import { UserCache } from '../../../src/services/decisions/user-cache.ts';

const at = (value: number) => ({ epoch: 'aaaaaaaaaaaa', value });

test('catalogues that were replaced leave memory, though users who were asked about under them stay', async () => {
  let revision = 0;
  const mirror = new Mirror(async () => ({
    revision: at(revision),
    epochs: [],
    catalogueValue: revision,
    settings: settingValues({}),
    changes: revision === 1 ? null : [],
    catalogue: { registered: [], includes: [], edges: [] },
  }));
  const access = { active: true, grants: [], exceptions: [] };
  const cache = new UserCache(
    mirror,
    async (ids) => ({
      revision: at(revision),
      users: ids.map((id) => ({ pk: Number(id), id, access })),
      credentials: [],
      identities: [],
    }),
    { bytes: 2 ** 20, timeoutMs: 1_000 },
  );
  const catalogues: WeakRef<object>[] = [];
  for (revision = 1; revision <= 20; revision += 1) {
    await mirror.reach(at(revision));
    const id = String(revision) as UserId;
    await cache.fill([id], []);
    const { catalogue } = mirror.snapshot as Snapshot;
    cache.user(id)?.at(catalogue, 0);
    catalogues.push(new WeakRef(catalogue));
  }
  expect(cache.size).toBe(20);
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  await new Promise((resolve) => setTimeout(resolve, 20));
  collect();
  expect(catalogues.filter((one) => one.deref() !== undefined).length).toBeLessThanOrEqual(2);
});
