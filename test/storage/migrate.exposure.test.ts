import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { migrateDown } from '../../src/storage/migrations/down.ts';
import { readSteps, type Step } from '../../src/storage/migrations/steps.ts';
import { migrateUp } from '../../src/storage/migrations/up.ts';
import { asOperator } from '../../src/storage/operator.ts';
import { installRowLevel } from '../../src/storage/row-level/install.ts';
import { later, openWorkshop, type Ways } from '../support/steps.ts';
import { createTenant, type Tenant } from '../support/tenant.ts';

const first = '0000_create_rolecall';
const security = '0001_add_row_level_security';

let tenant: Tenant;
beforeEach(async () => {
  tenant = await createTenant();
  await tenant.sql.unsafe(`create schema rolecall_archive authorization ${tenant.owner}`);
});
afterEach(() => tenant.drop());

const down = (steps: readonly Step[], to: string, more = {}) =>
  migrateDown({ url: tenant.url, steps, ...more }, to);
const newest = async () =>
  (await tenant.sql`select name from rolecall.migrations order by position desc limit 1`)[0]?.[
    'name'
  ] as string;
const refusal = (text: RegExp) => ({
  code: 'migration_refused',
  message: expect.stringMatching(text) as string,
});

/** A login that may use the schema, and whatever else is given. */
async function stranger(name: string, grants: (role: string) => string): Promise<string> {
  await tenant.login(name);
  const role = tenant.nameOf(name);
  await tenant.sql.unsafe(`grant usage on schema rolecall to ${role}; ${grants(role)}`);
  return role;
}

describe('a way down that takes the policies away', () => {
  test('is refused, lists whom only they keep from the rows, and runs once nobody is left (1.10)', async () => {
    await asOperator(tenant.superuserUrl, 'read write', installRowLevel);
    await tenant.login('service', 'in role rolecall_service');
    await tenant.login('bypassing', 'bypassrls in role pg_read_all_data');
    await tenant.login('unlucky');
    await tenant.sql.unsafe(`grant select on rolecall.users to ${tenant.nameOf('unlucky')}`);
    const one = await stranger(
      'one',
      (role) => `grant select, update on rolecall.users, rolecall.roles to ${role}`,
    );
    const two = await stranger('two', (role) => `grant pg_read_all_data to ${role}`);
    const three = await stranger(
      'three',
      (role) => `grant update (reason) on rolecall.user_roles to ${role}`,
    );
    const steps = await readSteps();

    const refused = await down(steps, first, { destroy: { backupRef: 'even with a backup' } }).then(
      () => '',
      (error: Error) => error.message,
    );
    expect(refused).toMatch(/^0001_add_row_level_security\.down\.sql would let people do more/);
    expect(refused.match(/the database role \w+ was granted [A-Z, ]+ on [\w, ]{1,12}/g)).toEqual([
      `the database role ${one} was granted SELECT, UPDATE on roles, users`,
      `the database role ${three} was granted UPDATE on user_roles`,
      expect.stringContaining(`the database role ${two} was granted SELECT on `),
    ]);
    expect(await newest()).toBe(security);

    await tenant.sql.unsafe(`revoke all on all tables in schema rolecall from ${one}, ${three};
      revoke update (reason) on rolecall.user_roles from ${three}; revoke pg_read_all_data from ${two}`);
    expect(await down(steps, first)).toEqual([security]);
    expect(await migrateUp({ url: tenant.url, steps })).toContain(security);
  });

  const loosening: readonly (readonly [what: string, down: string])[] = [
    ['switches those of one table off', 'alter table rolecall.roles disable row level security'],
    ['lets everybody through', 'create policy everybody on rolecall.roles using (true)'],
    ['changes whom they let through', 'alter policy service on rolecall.roles using (true)'],
  ];
  test.each(loosening)('is refused when it %s, for that table alone', async (_, statement) => {
    const role = await stranger('one', (name) => `grant select on all tables in schema rolecall to ${name}`);
    const ways: Ways = ['create table rolecall.nothing ()', `drop table rolecall.nothing; ${statement}`];
    const shop = await openWorkshop({ [later(1, 'add_nothing')]: ways });
    const steps = await shop.steps();
    await migrateUp({ url: tenant.url, steps });
    await expect(down(steps, later(0))).rejects.toMatchObject(
      refusal(
        new RegExp(
          `more, so it was not run:\\nthe database role ${role} was granted SELECT on roles: .*\\nTake`,
        ),
      ),
    );
    await shop.remove();
  });

  test('that only takes some away, or whose tables go with them, lets nobody do more', async () => {
    await stranger('one', (name) => `grant select on all tables in schema rolecall to ${name}`);
    const ways: Ways = [
      'create table rolecall.nothing ()',
      'drop table rolecall.nothing; drop policy service on rolecall.roles',
    ];
    const shop = await openWorkshop({ [later(1, 'add_nothing')]: ways });
    const steps = await shop.steps();
    await migrateUp({ url: tenant.url, steps });
    expect(await down(steps, later(0))).toEqual([later(1, 'add_nothing')]);
    await shop.remove();
  });
});

test('what is kept in the archive is no more to be read than it was in its place', async () => {
  const ways: Ways = [
    `create table rolecall.secrets (pk int primary key); insert into rolecall.secrets values (1);
     alter table rolecall.secrets enable row level security`,
    'drop table rolecall.secrets',
  ];
  const shop = await openWorkshop({ [later(1, 'add_secrets')]: ways });
  const steps = await shop.steps();
  await migrateUp({ url: tenant.url, steps });
  const role = await stranger('one', (name) => `grant pg_read_all_data to ${name}`);
  await down(steps, later(0));
  const kept = `rolecall_archive."${later(1)}_secrets"`;
  const seen = await tenant.sql.begin(async (transaction) => {
    const all = (await transaction.unsafe(`select from ${kept}`)).count;
    await transaction.unsafe(`set local role ${role}`);
    return [all, (await transaction.unsafe(`select from ${kept}`)).count];
  });
  expect(seen).toEqual([1, 0]);
  await migrateUp({ url: tenant.url, steps });
  expect(await tenant.sql`select pk from rolecall.secrets`).toEqual([{ pk: 1 }]);
  await shop.remove();
});
