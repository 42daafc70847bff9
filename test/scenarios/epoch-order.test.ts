import postgres from 'postgres';
import { expect, test } from 'vitest';
import { operatorCall } from '../../src/services/call.ts';
import { startReplica } from '../support/replicas.ts';
import { startTestService } from '../support/service.ts';

test('epochs follow each other as their revisions do, whatever the clocks of the servers said', async () => {
  const service = await startTestService();
  const write = async (id: string) =>
    (await service.as().post('/users').send({ id }).expect(201)).body.revision as string;
  const before = await write('anna');
  await service.runtime.epochs.declare(operatorCall(20_000));
  const after = await write('ben');
  const sql = postgres(service.database.url, { max: 1 });
  await sql`update rolecall.epochs set began_at = began_at - interval '1 day' where id = ${after.slice(0, 12)}`;
  await sql.end();
  const later = await startReplica(service.database.url, service.adminKey);
  const ask = async (atLeast: string) =>
    (await later.request({ method: 'GET', url: '/me/permissions', query: { atLeast } })).status;
  const lost = `${before.slice(0, 13)}${Number(after.slice(13))}`;
  expect([await ask(before), await ask(after), await ask(lost)]).toEqual([200, 200, 409]);
  const then = async (at: string) =>
    (await later.request({ method: 'GET', url: '/me/permissions', query: { at } })).status;
  expect([await then(before), await then(after), await then(lost)]).toEqual([200, 200, 409]);
  await later.close();
  await service.close();
});
