import postgres from 'postgres';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { UserId } from '../../src/domain/ids.ts';
import { operatorCall } from '../../src/services/call.ts';
import { verifyChain } from '../../src/storage/chain.ts';
import { asOperator } from '../../src/storage/operator.ts';
import { installRowLevel } from '../../src/storage/row-level/install.ts';
import { openTestRuntime, testJournalKey } from '../support/runtime.ts';
import { createTenant, type Tenant } from '../support/tenant.ts';

let tenant: Tenant;
let service: string;
beforeAll(async () => {
  tenant = await createTenant();
  await asOperator(tenant.superuserUrl, 'read write', installRowLevel);
  service = await tenant.login('service', 'in role rolecall_service');
  const runtime = await openTestRuntime(service);
  for (const id of ['ada', 'bea'])
    await runtime.users.create(operatorCall(20_000), { id: id as UserId, email: null, active: true });
  await runtime.close();
}, 60_000);
afterAll(() => tenant.drop());

/** Every way to make the journal say something else. */
const ways = {
  UPDATE: `update rolecall.journal set kind = 'x'`,
  DELETE: 'delete from rolecall.journal',
  TRUNCATE: 'truncate rolecall.journal',
  'TRUNCATE of all': 'truncate rolecall.journal, rolecall.personal',
  DROP: 'drop table rolecall.journal',
  'ALTER TABLE': 'alter table rolecall.journal add column x int',
  'DISABLE TRIGGER': 'alter table rolecall.journal disable trigger all',
  'another rule': 'create rule r as on insert to rolecall.journal do instead nothing',
  'a trigger':
    'create trigger t before insert on rolecall.journal execute function suppress_redundant_updates_trigger()',
  'row-level security': 'alter table rolecall.journal disable row level security',
  inheritance: 'create table public.more () inherits (rolecall.journal)',
  session_replication_role: `set session_replication_role = 'replica'`,
  'COPY over it': `copy rolecall.journal from program 'true'`,
  MERGE: `merge into rolecall.journal j using rolecall.revision r on true when matched then update set kind = 'x'`,
  upsert: `insert into rolecall.journal select * from rolecall.journal on conflict (revision, number) do update set kind = 'x'`,
  'ALTER OWNER': 'alter table rolecall.journal owner to current_user',
  'the personal values': `update rolecall.personal set value = 'x'`,
} as const;

const undone = new Error('undone');

/** What comes of a statement: refused, or what the verifier says after it; nothing of it stays. */
async function outcome(url: string, statement: string): Promise<string> {
  const sql = postgres(url, { max: 1, onnotice: () => {} });
  let found = '';
  try {
    await sql.begin(async (on) => {
      await on.unsafe(statement).simple();
      found =
        (await verifyChain(on, testJournalKey).catch(() => ({ broken: 'unreadable' }))).broken ?? 'whole';
      throw undone;
    });
  } catch (error) {
    if (error === undone) return found;
    if (error instanceof postgres.PostgresError) return `refused ${error.code}`;
    throw error;
  } finally {
    await sql.end();
  }
  return found;
}

describe('the journal', () => {
  test.each(Object.entries(ways))(
    'only grows for the service: %s is refused (D-05)',
    async (_, statement) => {
      expect(await outcome(service, statement)).toMatch(/^refused (42501|42809|0A000)$/);
    },
  );

  test('lets the service add rows: one that it did not seal is found (D-06)', async () => {
    const added = `insert into rolecall.journal select revision + 1, 1, time, kind, actor_kind, actor_pk, credential_pk,
      request_id, user_pk, role_pk, permission_pk, before, after, '{}', hmac from rolecall.journal where revision = 2`;
    expect(await outcome(service, added)).toMatch(/^journal row 3\.1 is not as it was sealed/);
  });

  test.each(['UPDATE', 'DELETE', 'TRUNCATE of all', 'the personal values'] as const)(
    'cannot be kept from a superuser, and %s by one is found (D-05, D-06)',
    async (way) => {
      const free = 'alter table rolecall.personal drop constraint personal_journal_fkey';
      const found = await outcome(tenant.superuserUrl, `${free}; ${ways[way]}`);
      expect(found).toMatch(/row|ends at revision|personal value/);
    },
  );

  test.each(['UPDATE', 'DELETE'] as const)(
    'cannot be kept from its owner, who can give it to themselves, and %s by them is found (D-05, D-06)',
    async (way) => {
      const own = `alter table rolecall.journal disable row level security;
        alter table rolecall.personal drop constraint personal_journal_fkey;
        grant update, delete on rolecall.journal to current_user`;
      expect(await outcome(tenant.url, `${own}; ${ways[way]}`)).toMatch(/row|ends at revision/);
    },
  );
});
