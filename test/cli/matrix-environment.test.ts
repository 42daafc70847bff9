import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import postgres from 'postgres';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readMatrix } from '../../src/cli/matrix-files.ts';
import type { MatrixPlan } from '../../src/domain/matrix/plan.ts';
import { operatorCall } from '../../src/services/call.ts';
import { createTestDatabase, type TestDatabase } from '../support/database.ts';
import { environmentFor, run } from '../support/program.ts';
import { startTestService, type TestService } from '../support/service.ts';

let database: TestDatabase;
let service: TestService;
let folder: string;
let file: string;
beforeEach(async () => {
  database = await createTestDatabase();
  service = await startTestService({ database });
  folder = await mkdtemp(join(tmpdir(), 'rolecall-environment-'));
  await mkdir(join(folder, 'layers'));
  file = join(folder, 'baseline.yaml');
  await write({ gives: 'orders.view, orders.load' });
  const { layers } = await readMatrix(file);
  await service.runtime.matrix.apply(operatorCall(60_000), layers, { allowLoss: true });
});
afterEach(async () => {
  await service.close();
  await database.drop();
  await rm(folder, { recursive: true });
});

/** Writes a baseline of one role that people can hold. */
function write({ gives, called = 'Loader' }: { gives: string; called?: string }): Promise<void> {
  const role = `loader: { name: ${called}, description: Loads, permissions: [${gives}] }`;
  const text = `version: 1\npermissions: { orders: { view: See, load: Load, pack: Pack } }\nroles: { ${role} }\n`;
  return writeFile(file, text);
}

function rolecall(verb: string, ...words: string[]) {
  const takesFile = verb === 'plan' || (verb === 'apply' && words[0]?.endsWith('.json') !== true);
  return run(
    ['matrix', verb, ...words, ...(takesFile ? ['--file', file] : [])],
    environmentFor(database.url),
  );
}

/** Loaders by these names, everywhere. */
async function hire(...names: string[]): Promise<void> {
  for (const name of names) await service.keyFor(name, 'loader');
}

/** How many statements wait for a lock. */
async function waitingForLock(url: string): Promise<number> {
  const sql = postgres(url, { max: 1 });
  const [row] = await sql<[{ count: number }]>`select count(*)::int as count from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`;
  await sql.end();
  return row.count;
}

const stored = async () => (await service.as().get('/matrix').expect(200)).body;
const people = ['anna', 'ben', 'carl', 'dora', 'emil', 'fritz', 'gerd'];

describe('plan', () => {
  test('leads with who loses and who gains what, then what changes, and ends with one line of totals', async () => {
    await hire(...people);
    await write({ gives: 'orders.view, orders.pack' });
    const before = await stored();
    const plan = await rolecall('plan');
    expect(plan).toMatchObject({ code: 0, stderr: '' });
    expect(plan.stdout).toBe(`Loses:
  - orders_load: anna, ben, carl, dora, emil and 2 more

Gains:
  + orders_pack: anna, ben, carl, dora, emil and 2 more

Changes:
  - loader gives, by baseline: orders_load
  + loader gives, by baseline: orders_pack

7 users lose, 7 users gain; 2 changes, 0 in conflict, 0 kept as people left them.
`);
    expect((await rolecall('plan', '--full')).stdout).toContain(`- orders_load: ${people.join(', ')}\n`);
    const { losses, changes } = JSON.parse((await rolecall('plan', '--json')).stdout) as MatrixPlan;
    expect(losses.map(({ user }) => user)).toEqual(people);
    expect(changes).toHaveLength(2);
    expect(await stored()).toEqual(before);
  });

  test('has an exit code for changes only when asked for one', async () => {
    expect(await rolecall('plan', '--exit-code')).toMatchObject({
      code: 0,
      stdout: 'Nothing to do: the matrix is applied.\n',
    });
    await write({ gives: 'orders.view, orders.load, orders.pack' });
    expect((await rolecall('plan')).code).toBe(0);
    expect((await rolecall('plan', '--exit-code')).code).toBe(4);
    expect((await rolecall('plan', '--exit-code', '--json')).code).toBe(4);
  });

  test('kept in a file is what is applied, whatever the files say by then, and once', async () => {
    await hire('anna');
    const kept = join(folder, 'plan.json');
    await write({ gives: 'orders.view' });
    expect((await rolecall('plan', '--out', kept)).code).toBe(0);
    expect((await stat(kept)).mode & 0o777, 'it names people').toBe(0o600);
    await write({ gives: 'orders.pack' });

    const refused = await rolecall('apply', kept);
    expect(refused).toMatchObject({ code: 2, stdout: '' });
    expect(refused.stderr).toContain('anna would lose something: look at the plan, then allow the loss');
    await hire('ben');
    const unforeseen = await rolecall('apply', kept, '--allow-loss');
    expect(unforeseen.code).toBe(2);
    expect(unforeseen.stderr).toContain('ben would lose something that the plan did not name');
    await service.as().delete('/users/ben/roles/loader').expect(200);

    expect(await rolecall('apply', kept, '--allow-loss')).toMatchObject({
      code: 0,
      stdout: 'Applied 1 change.\n',
    });
    expect(await rolecall('apply', kept, '--allow-loss')).toMatchObject({
      code: 0,
      stdout: 'Nothing to do: the matrix is applied.\n',
    });
    expect((await service.as().get('/users/anna/permissions').expect(200)).body.permissions).toEqual([
      'orders_view',
    ]);

    await rolecall('plan', '--out', kept);
    await service.as().put('/roles/loader/permissions/orders.load').expect(200);
    const outdated = await rolecall('apply', kept, '--allow-loss');
    expect(outdated.code).toBe(2);
    expect(outdated.stderr).toContain('roles or permissions have changed since this plan was made');
    expect((await rolecall('apply', file.replace('yaml', 'json'))).stderr).toContain('cannot read');
  });
});

describe('apply', () => {
  test('needs somebody to ask, or --yes, where something was applied before', async () => {
    await write({ gives: 'orders.view, orders.load, orders.pack' });
    const before = await stored();
    const refused = await rolecall('apply');
    expect(refused.code).toBe(1);
    expect(refused.stdout).toContain('+ loader gives, by baseline: orders_pack');
    expect(refused.stderr).toContain('there is nobody to ask');
    expect(await stored()).toEqual(before);
    expect((await rolecall('apply', '--yes')).code).toBe(0);
  });

  test('stops at a conflict until it is said who wins', async () => {
    await service.as().delete('/roles/loader/permissions/orders.load').expect(200);
    await write({ gives: 'orders.view' });
    await rolecall('apply', '--yes');
    await write({ gives: 'orders.view, orders.load' });
    const plan = await rolecall('plan');
    expect(plan.stdout).toMatch(
      /^Conflicts, to be settled with --accept matrix or --accept live:\n {2}! loader does not give orders_load, which baseline declares; changed by root at \d{4}-\d\d-\d\dT[\d:.]+Z$/m,
    );
    const refused = await rolecall('apply', '--yes');
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('accept `matrix` or `live`');
    expect((await rolecall('apply', '--yes', '--accept', 'live')).code).toBe(0);
    expect((await rolecall('plan')).stdout).toMatch(
      /^Stays as people left it:\n {2}= loader does not give orders_load/m,
    );
    expect((await rolecall('plan', '--exit-code')).code).toBe(0);
    expect((await rolecall('apply', '--accept', 'nobody')).code).toBe(1);
  });
});

test('ten migrations and ten applications more exit with 0 and write nothing (0.6)', async () => {
  const sql = postgres(database.url, { max: 1 });
  const written = async () => sql`
    select value, (select count(*) from rolecall.journal) as entries, (select count(*) from rolecall.migrations) as steps
    from rolecall.revision`;
  const before = await written();
  for (let round = 0; round < 10; round += 1) {
    expect((await run(['migrate', 'up'], environmentFor(database.url))).code).toBe(0);
    expect(await rolecall('apply')).toMatchObject({
      code: 0,
      stdout: 'Nothing to do: the matrix is applied.\n',
    });
  }
  expect(await written()).toEqual(before);
  await sql.end();
});

describe('drift and pull', () => {
  test('name who changed what past the matrix and when, and write the layer that declares it (2.9)', async () => {
    expect(await rolecall('drift', '--exit-code')).toMatchObject({
      code: 0,
      stdout: 'No drift: what is live is what was applied.\n',
    });
    await hire('anna');
    const root = service.as();
    await root.delete('/roles/loader/permissions/orders.load').expect(200);
    await root.put('/roles/loader/permissions/orders.pack').expect(200);
    await root.post('/permissions').send({ permission: 'bikes.mend', description: 'Mend' }).expect(201);
    await root.post('/roles').send({ key: 'mechanic', name: 'Mechanic' }).expect(201);
    await root.put('/roles/mechanic/permissions/bikes.mend').expect(200);
    await root.put('/roles/loader/includes/mechanic').expect(200);
    const may = (await root.get('/users/anna/permissions').expect(200)).body.permissions;

    const drift = await rolecall('drift');
    expect(drift.code).toBe(0);
    const byRoot = String.raw`changed by root at \d{4}-\d\d-\d\dT[\d:.]+Z`;
    for (const said of [
      'loader does not give orders_load, which baseline declares',
      'loader gives orders_pack, which no layer does',
      'loader includes mechanic, which no layer does',
      'the role mechanic is not declared',
      String.raw`the permission bikes\.mend is not declared`,
    ])
      expect(drift.stdout).toMatch(new RegExp(`^${said}; ${byRoot}$`, 'm'));
    expect(drift.stdout).toMatch(/^6 changes by people, 0 past the service\.$/m);
    expect((await rolecall('drift', '--exit-code')).code).toBe(4);
    expect(JSON.parse((await rolecall('drift', '--json')).stdout)).toMatchObject({
      deviations: Array(6).fill({ changed: { actor: 'user', by: 'root' } }),
      tampering: [],
    });

    const layer = join(folder, 'layers', 'pulled.yaml');
    expect((await rolecall('pull')).stdout).toContain('version: 1\nid: pulled\n');
    expect((await rolecall('pull', '--out', layer)).code).toBe(0);
    const again = await rolecall('pull', '--out', layer);
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('EEXIST') });
    expect(await readFile(layer, 'utf8')).toMatch(new RegExp(`- orders_pack # ${byRoot}`));

    const planned = JSON.parse((await rolecall('plan', '--json')).stdout) as MatrixPlan;
    expect(planned).toMatchObject({ gains: [], losses: [], conflicts: [], kept: [] });
    expect((await rolecall('apply', '--yes')).code).toBe(0);
    expect((await rolecall('plan', '--exit-code')).code).toBe(0);
    expect((await rolecall('drift', '--exit-code')).code).toBe(0);
    expect((await root.get('/users/anna/permissions').expect(200)).body.permissions).toEqual(may);

    // What changed since goes into a layer of its own, on top of the one before.
    await root.delete('/roles/mechanic/permissions/bikes.mend').expect(200);
    const second = join(folder, 'layers', 'second.yaml');
    for (const taken of ['pulled', 'baseline', 'api'])
      expect((await rolecall('pull', '--id', taken, '--out', second)).code).toBe(1);
    expect((await rolecall('pull', '--out', second)).code).toBe(0);
    expect(await readFile(second, 'utf8')).toContain('id: pulled_2\ndepends_on: [pulled]\n');
    expect(await rolecall('apply', '--yes')).toMatchObject({ code: 0 });
    expect((await rolecall('drift', '--exit-code')).code).toBe(0);
  });

  test('say what was changed past the service, and what applying again would do about it', async () => {
    const sql = postgres(database.url, { max: 1 });
    await sql`
      delete from rolecall.role_permissions using rolecall.permissions
      where permissions.pk = permission_pk and slug = 'orders_load'`;
    await sql.end();
    const { code, stdout } = await rolecall('drift', '--exit-code');
    expect(code).toBe(4);
    expect(stdout).toContain(
      'changed past the service, applying again would do: + loader gives, by baseline: orders_load',
    );
    expect((await rolecall('apply', '--yes')).code).toBe(0);
    expect((await rolecall('drift', '--exit-code')).code).toBe(0);
  });
});

describe('history and rollback', () => {
  test('take longer than a request may, where the database does', async () => {
    const sql = postgres(database.url, { max: 1 });
    const reading = sql.begin(async (tx) => {
      await tx`lock table rolecall.journal in access exclusive mode`;
      const history = run(['matrix', 'history', '--json'], {
        ...environmentFor(database.url),
        ROLECALL_REQUEST_TIMEOUT_MS: '500',
      });
      await expect.poll(() => waitingForLock(database.url), { timeout: 20_000 }).toBe(1);
      await pause(1_000);
      return { history };
    });
    expect(await (await reading).history).toMatchObject({ code: 0 });
    await sql.end();
  });

  test('list what was applied by whom and when, and apply it again with plan, losses and all', async () => {
    await hire('anna');
    await write({ gives: 'orders.view, orders.load, orders.pack' });
    await rolecall('apply', '--yes');
    const versions = JSON.parse((await rolecall('history', '--json')).stdout) as {
      revision: string;
      changed: object;
      applied: { layer: string }[];
    }[];
    expect(versions).toHaveLength(3);
    for (const { changed } of versions)
      expect(changed).toMatchObject({ actor: 'operator', at: expect.stringMatching(/^\d{4}-.*Z$/) });
    expect(versions[0]?.applied).toMatchObject([{ layer: 'baseline' }]);
    expect((await rolecall('history')).stdout.split('\n')[0]).toMatch(
      new RegExp(`^${versions[0]?.revision} {2}changed by the operator at .*Z: baseline [0-9a-f]{12}$`),
    );

    const refused = await rolecall('rollback', '--yes');
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('anna would lose something');
    const back = await rolecall('rollback', '--yes', '--allow-loss');
    expect(back).toMatchObject({ code: 0, stderr: expect.stringContaining('The files still say otherwise') });
    expect(back.stdout).toContain('- orders_pack: anna');
    const may = async () => (await service.as().get('/users/anna/permissions').expect(200)).body.permissions;
    expect(await may()).toEqual(['orders_load', 'orders_view']);

    const forward = await rolecall('rollback', '--yes', '--to', String(versions[0]?.revision));
    expect(forward.code).toBe(0);
    expect(await may()).toEqual(['orders_load', 'orders_pack', 'orders_view']);
    const never = await rolecall(
      'rollback',
      '--yes',
      '--to',
      String(versions[0]?.revision).replace(/\d+$/, '0'),
    );
    expect(never.code).toBe(2);
    expect(never.stderr).toContain('no matrix stood then');

    // The same numbers of another history say nothing of this one.
    const [epoch, value] = String(versions[0]?.revision).split('-');
    const to = async (revision: string) => (await rolecall('rollback', '--yes', '--to', revision)).stderr;
    expect(await to(`000000000000-${value}`)).toContain('no revision of this database');
    expect(await to(`${epoch}-999999`)).toContain('has not come yet');
    await service.runtime.epochs.declare(operatorCall(20_000));
    await rolecall('rollback', '--yes', '--allow-loss');
    const after = JSON.parse((await rolecall('history', '--json')).stdout);
    expect(after.map((one: { revision: string }) => one.revision)).toContain(versions[0]?.revision);
    const number = Number(after[0].revision.split('-')[1]);
    expect(after[0].revision).not.toBe(`${epoch}-${number}`);
    expect(await to(`${epoch}-${number}`)).toContain('history was lost');
  });
});
