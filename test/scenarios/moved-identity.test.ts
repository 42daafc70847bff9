import { expect, test } from 'vitest';
import { listenTo, urlOf } from '../support/event-stream.ts';
import { startProvider } from '../support/identity-provider.ts';
import { type Replica, startReplicas } from '../support/replicas.ts';

test('whoever is somebody else by now reads nothing as who they were, on a replica that heard of nothing', async () => {
  const provider = await startProvider();
  const variables = { ROLECALL_IDENTITY_PROVIDERS: JSON.stringify([provider.settings]) };
  const { replicas, close } = await startReplicas(2, { variables });
  const [here, there] = replicas as [Replica, Replica];
  const write = async (method: 'POST' | 'PUT' | 'DELETE', url: string, payload?: object) =>
    expect((await here.request({ method, url, ...(payload && { payload }) })).status).toBeLessThan(300);
  const identity = { issuer: provider.issuer, subject: 'moved' };
  for (const id of ['former', 'later']) await write('POST', '/users', { id });
  await write('PUT', '/users/former/roles/viewer');
  await write('PUT', '/users/former/identities', identity);
  const token = provider.token('moved');
  const asked = async () => {
    const answer = await there.request({ method: 'GET', url: '/me/permissions' }, token);
    return [answer.status, (answer.body as { user?: string }).user];
  };
  expect(await asked()).toEqual([200, 'former']);
  const stream = await listenTo(await urlOf(there.app), token);
  expect(await stream.next()).toMatchObject({ event: 'hello' });

  await write('DELETE', '/users/former/identities', identity);
  await write('PUT', '/users/later/identities', identity);
  const [status, user] = await asked();
  expect(user).not.toBe('former');
  expect(status).toBe(401);
  expect(await asked()).toEqual([200, 'later']);
  expect(await stream.next()).toMatchObject({ event: 'bye', data: { reason: 'not_valid' } });
  await close();
  await provider.close();
});
