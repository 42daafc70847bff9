import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { shippedBaseline } from '../../src/cli/matrix-files.ts';
import type { PermissionSlug, RoleKey, Scope, UserId } from '../../src/domain/ids.ts';
import type { Runtime } from '../../src/runtime.ts';
import { operatorCall } from '../../src/services/call.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { environmentFor, run } from '../support/program.ts';
import { openTestRuntime } from '../support/runtime.ts';

let database: TestDatabase;
let runtime: Runtime;
let folder: string;
let file: string;
const call = () => operatorCall(20_000);

beforeAll(async () => {
  database = await createTestDatabase();
  runtime = await openTestRuntime(database.url);
  folder = await mkdtemp(join(tmpdir(), 'rolecall-layers-'));
  file = join(folder, 'baseline.yaml');
  await mkdir(join(folder, 'layers'));
  await writeFile(file, await readFile(shippedBaseline, 'utf8'));
  const terms = { startsAt: null, expiresAt: null, reason: null };
  for (const user of ['anna', 'ben']) {
    await runtime.users.create(call(), { id: user as UserId, email: null, active: true });
    await runtime.grants.put(call(), user as UserId, 'loader' as RoleKey, '' as Scope, terms);
  }
});
afterAll(async () => {
  await runtime.close();
  await database.drop();
  await rm(folder, { recursive: true });
});

const matrix = (verb: string, ...words: string[]) =>
  run(['matrix', verb, '--file', file, ...words], environmentFor(database.url));
const record = (...words: string[]) => run(['matrix', ...words], environmentFor(database.url));
const layerFile = (name: string) => join(folder, 'layers', `${name}.yaml`);

test('a layer is validated, planned, applied from the plan, and taken back by the way of review', async () => {
  await writeFile(
    layerFile('0006_documents'),
    'version: 1\nid: documents\nadd: { loader: [adminpanel.view_documents] }\nwithhold: { loader: [orders.load_order] }\n',
  );
  expect(await matrix('validate')).toMatchObject({
    code: 0,
    stdout: 'The files are sound: 2 layers, 50 permissions, 7 roles.\n',
  });
  const kept = join(folder, 'plan.json');
  const planned = await matrix('plan', '--exit-code', '--out', kept);
  expect(planned).toMatchObject({ code: 4, stderr: '' });
  expect(planned.stdout).toBe(`Loses:
  - orders_load_order: anna, ben

Gains:
  + adminpanel_view_documents: anna, ben

Changes:
  + loader gives, by documents: adminpanel_view_documents
  + loader is withheld, by documents: orders_load_order

2 users lose, 2 users gain; 2 changes, 0 in conflict, 0 kept as people left them.
`);
  expect(await matrix('plan', '--exit-code', '--file', shippedBaseline)).toMatchObject({
    code: 0,
    stdout: 'Nothing to do: the matrix is applied.\n',
  });
  expect(await record('apply', kept)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('anna, ben would lose something'),
  });
  expect(await record('apply', kept, '--allow-loss')).toMatchObject({
    code: 0,
    stdout: 'Applied 2 changes.\n',
  });
  expect(await record('apply', kept, '--allow-loss')).toMatchObject({
    code: 0,
    stdout: 'Nothing to do: the matrix is applied.\n',
  });
  const history = JSON.parse((await record('history', '--json')).stdout);
  expect(history).toMatchObject([
    { applied: [{ layer: 'documents' }], removed: [], changed: { actor: 'operator' } },
    { applied: [{ layer: 'builtin' }, { layer: 'baseline' }] },
  ]);

  expect(await record('rollback')).toMatchObject({
    code: 2,
    stdout: expect.stringContaining('- adminpanel_view_documents: anna, ben'),
  });
  expect(await record('rollback', '--allow-loss')).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('there is nobody to ask'),
  });
  expect(await record('rollback', '--allow-loss', '--yes')).toMatchObject({
    code: 0,
    stderr: expect.stringContaining('The files still say otherwise'),
  });
  expect((await matrix('plan', '--file', shippedBaseline)).stdout).toBe(
    'Nothing to do: the matrix is applied.\n',
  );
  expect((await record('rollback', '--to', history[0].revision, '--yes', '--allow-loss')).code).toBe(0);
  expect((await matrix('plan')).stdout).toBe('Nothing to do: the matrix is applied.\n');
});

test('drift is told with who and when, and pulled into a layer that leaves none (2.9)', async () => {
  expect((await record('drift', '--exit-code')).code).toBe(0);
  const loader = 'loader' as RoleKey;
  await runtime.roleEdges.give(call(), loader, 'orders_view_prices' as PermissionSlug);
  await runtime.roleEdges.withhold(call(), loader, 'orders_view_order' as PermissionSlug);
  await runtime.roleEdges.exclude(call(), loader, 'user' as RoleKey);
  await runtime.permissions.register(call(), [{ resource: 'bikes', action: 'ride', description: '' }]);
  await runtime.roles.create(call(), { key: 'rider' as RoleKey, name: 'Rider: "fast"', description: '' });
  await runtime.roleEdges.give(call(), 'rider' as RoleKey, 'bikes_ride' as PermissionSlug);
  await runtime.roleEdges.include(call(), 'rider' as RoleKey, 'viewer' as RoleKey);
  await runtime.roles.update(call(), loader, { name: 'Stevedore' });

  const drift = await record('drift', '--exit-code');
  expect(drift.code).toBe(4);
  expect(
    drift.stdout.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'NOW'),
  ).toBe(`the permission bikes.ride is not declared; changed by the operator at NOW
the role rider is not declared; changed by the operator at NOW
loader is called "Stevedore", declared as "Loader"; changed by the operator at NOW
loader does not include user, which baseline declares; changed by the operator at NOW
rider includes viewer, which no layer does; changed by the operator at NOW
loader does not give orders_view_order, which baseline declares; changed by the operator at NOW
loader gives orders_view_prices, which no layer does; changed by the operator at NOW
rider gives bikes_ride, which no layer does; changed by the operator at NOW
8 changes by people, 0 past the service.
`);

  expect((await record('pull', '--id', 'from-live', '--out', layerFile('from-live'))).code).toBe(0);
  expect((await record('pull', '--out', layerFile('from-live'))).stderr).toContain('EEXIST');
  const planned = await matrix('plan');
  expect(planned.stdout).toContain('0 users lose, 0 users gain');
  expect(await matrix('apply', '--yes')).toMatchObject({ code: 0 });
  expect(await record('drift', '--exit-code')).toMatchObject({
    code: 0,
    stdout: 'No drift: what is live is what was applied.\n',
  });
});

test('two permissions that are taken for each other are worth a look until somebody says both are meant (2.7)', async () => {
  await writeFile(
    layerFile('twins'),
    'version: 1\nid: twins\npermissions: { reports: { view_report: See } }\n',
  );
  const advice = 'adminpanel.view_reports and reports.view_report are easily taken for each other';
  expect((await matrix('validate')).stdout).toContain(advice);
  expect((await matrix('plan')).stdout).toContain(advice);
  await writeFile(
    layerFile('twins'),
    'version: 1\nid: twins\npermissions: { reports: { view_report: See } }\nacknowledge: { adminpanel.view_reports: [reports.view_report] }\n',
  );
  expect((await matrix('validate')).stdout).not.toContain('easily taken');
  expect((await matrix('plan')).stdout).not.toContain('easily taken');
});
