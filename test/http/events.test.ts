import { once } from 'node:events';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import fastify from 'fastify';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { SseStream } from '../../src/http/sse.ts';
import { type EventClient, listenTo, urlOf } from '../support/event-stream.ts';
import { type Replica, type Replicas, startReplica, startReplicas } from '../support/replicas.ts';

let world: Replicas;
let here: Replica;
let there: Replica;
let url: string;
const open: EventClient[] = [];
/** Where nothing happens meanwhile. */
let quiet: Replicas;
let lasting: EventClient;
let expiring: EventClient;

beforeAll(async () => {
  world = await startReplicas(2, { listens: true });
  [here, there] = world.replicas as [Replica, Replica];
  url = await urlOf(here.app);
  for (const user of ['maria', 'lars']) await make('POST', '/users', { id: user });
  quiet = await startReplicas(1);
  const quietly = quiet.replicas[0] as Replica;
  const expiresAt = new Date(Date.now() + 2_000).toISOString();
  const payload = { user: 'root', name: 'page', expiresAt };
  const { body } = await quietly.request({ method: 'POST', url: '/keys', payload });
  const at = await urlOf(quietly.app);
  expiring = await listenTo(at, (body as { key: string }).key);
  lasting = await listenTo(at, quiet.adminKey);
});
afterAll(async () => {
  await world.close();
  await quiet.close();
});
afterEach(() => {
  for (const client of open.splice(0)) client.close();
});

/** A change, made on the other replica. */
async function make(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: object) {
  const answer = await there.request({ method, url: path, ...(body ? { payload: body } : {}) });
  expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300);
  return answer.body as { revision: string; key: string; id: string };
}

const keyOf = (user: string, terms: object = {}) => make('POST', '/keys', { user, name: 'page', ...terms });

async function listen(key: string, options: Parameters<typeof listenTo>[2] = {}, at = url) {
  const client = await listenTo(at, key, options);
  open.push(client);
  expect(client.response.status).toBe(200);
  return client;
}

async function greeted(key: string, options: Parameters<typeof listenTo>[2] = {}, at = url) {
  const client = await listen(key, options, at);
  expect(await client.next()).toMatchObject({ event: 'hello' });
  return client;
}

describe('what is heard', () => {
  test('a stream greets with the revision, and is an answer that nobody keeps or collects', async () => {
    const { key, revision } = await keyOf('maria');
    const client = await listen(key);
    expect(await client.next()).toEqual({ event: 'hello', data: { revision }, id: revision });
    const { headers } = client.response;
    expect(headers.get('content-type')).toBe('text/event-stream');
    expect(headers.get('cache-control')).toBe('no-store');
    expect(headers.get('x-request-id')).not.toBeNull();
  });

  test('a change made on one replica is heard on the other by whom it is about, and by nobody else', async () => {
    const maria = await greeted((await keyOf('maria')).key);
    const lars = await greeted((await keyOf('lars')).key);
    const { revision } = await make('PUT', '/users/maria/roles/loader');
    expect(await maria.next()).toEqual({ event: 'revision', data: { revision }, id: revision });
    const other = await make('PUT', '/users/lars/roles/loader');
    expect(await lars.next()).toEqual({
      event: 'revision',
      data: { revision: other.revision },
      id: other.revision,
    });
    expect(maria.text()).not.toContain(other.revision);
  });

  test('a change of what roles mean is heard by everybody', async () => {
    const maria = await greeted((await keyOf('maria')).key);
    const { revision } = await make('POST', '/roles', { key: 'packer', name: 'Packer' });
    expect(await maria.next()).toMatchObject({ event: 'revision', data: { revision } });
  });

  test('whoever may read the journal everywhere hears all, if asked for, and nobody else does', async () => {
    const all = await greeted(world.adminKey, { query: '?all=true' });
    const { revision } = await make('PUT', '/users/maria/roles/viewer');
    expect(await all.next()).toMatchObject({ event: 'revision', data: { revision } });
    const { key } = await keyOf('lars');
    const refused = await here.request({ method: 'GET', url: '/events?all=true' }, key);
    expect(refused).toMatchObject({ status: 403, body: { code: 'forbidden' } });
  });

  test('whoever loses the permission to hear all is told goodbye with the change that took it', async () => {
    await make('POST', '/users', { id: 'auditor' });
    await make('PUT', '/users/auditor/roles/admin');
    const all = await greeted((await keyOf('auditor')).key, { query: '?all=true' });
    await make('DELETE', '/users/auditor/roles/admin');
    expect(await all.next()).toMatchObject({ event: 'bye', data: { reason: 'not_valid' } });
    expect(await all.next()).toBeNull();
  });

  test('without notifications it is heard within a lease all the same', async () => {
    const deaf = await startReplica(world.database.url, world.adminKey, {
      variables: { ROLECALL_LEASE_MS: '200' },
    });
    const maria = await greeted((await keyOf('maria')).key, {}, await urlOf(deaf.app));
    const { revision } = await make('DELETE', '/users/maria/roles/viewer');
    expect(await maria.next()).toMatchObject({ event: 'revision', data: { revision } });
    await deaf.close();
  });
});

describe('whoever comes again', () => {
  test('is told only that something about them was missed, if something was', async () => {
    const { key, revision } = await keyOf('maria');
    const missed = (await make('PUT', '/users/maria/roles/viewer')).revision;
    const later = (await make('PUT', '/users/lars/roles/viewer')).revision;
    const client = await listen(key, { headers: { 'last-event-id': revision } });
    expect(await client.next()).toEqual({ event: 'hello', data: { revision: later }, id: undefined });
    expect(await client.next()).toMatchObject({ event: 'revision', id: later });

    const again = await listen(key, { headers: { 'last-event-id': missed } });
    expect(await again.next()).toMatchObject({ event: 'hello', id: later });
    const next = await make('DELETE', '/users/maria/roles/viewer');
    expect(await again.next()).toMatchObject({ event: 'revision', id: next.revision });
  });

  test.for(['0123456789ab-5', 'beyond the present', 'before what is remembered'])(
    'is told to ask for everything again where nobody knows what was missed: %s',
    async (since) => {
      const { key, revision } = await keyOf('maria');
      const [epoch, value] = revision.split('-');
      const named = {
        'beyond the present': `${epoch}-${Number(value) + 1_000}`,
        'before what is remembered': `${epoch}-1`,
      };
      const last = named[since as keyof typeof named] ?? since;
      const client = await listen(key, { headers: { 'last-event-id': last } });
      expect(await client.next()).toMatchObject({ event: 'hello', id: undefined });
      expect(await client.next()).toMatchObject({ event: 'resync', id: revision });
    },
  );

  test('with what is no revision is refused', async () => {
    const headers = { 'last-event-id': 'yesterday' };
    const refused = await here.request({ method: 'GET', url: '/events', headers });
    expect(refused).toMatchObject({ status: 400, body: { code: 'invalid_revision' } });
  });
});

test('streams take no place of the requests that may be under way', async () => {
  const few = await startReplica(world.database.url, world.adminKey, {
    variables: { ROLECALL_MAX_IN_FLIGHT: '2' },
  });
  const url = await urlOf(few.app);
  const clients = [await listenTo(url, world.adminKey), await listenTo(url, world.adminKey)];
  for (const client of clients) expect(await client.next()).toMatchObject({ event: 'hello' });
  expect((await few.request({ method: 'GET', url: '/me/permissions' })).status).toBe(200);
  for (const client of clients) client.close();
  await few.close();
});

describe('a stream ends', () => {
  test.for(['a revoked key', 'a deactivated user'])('at once with %s', async (how) => {
    await make('POST', '/users', { id: how });
    const { key, id } = await keyOf(how);
    const client = await greeted(key);
    if (how === 'a revoked key') await make('DELETE', `/keys/${id}`);
    else await make('PATCH', `/users/${encodeURIComponent(how)}`, { active: false });
    expect(await client.next()).toMatchObject({ event: 'bye', data: { reason: 'not_valid' } });
    expect(await client.next()).toBeNull();
  });

  test('for whoever has as many as one credential may; the next is refused until one ends', async () => {
    const { key } = await keyOf('maria');
    const clients = await Promise.all(Array.from({ length: 20 }, () => greeted(key)));
    const refused = await here.request({ method: 'GET', url: '/events' }, key);
    expect(refused).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    expect(refused.headers['retry-after']).toBe('1');
    await greeted((await keyOf('maria')).key);
    const size = here.runtime.events.size;
    clients[0]?.close();
    await expect.poll(() => here.runtime.events.size).toBe(size - 1);
    await greeted(key);
  });

  test('where a process holds as many as it may', async () => {
    const small = await startReplica(world.database.url, world.adminKey, {
      variables: { ROLECALL_EVENT_STREAMS: '1' },
    });
    await greeted(world.adminKey, {}, await urlOf(small.app));
    const refused = await small.request({ method: 'GET', url: '/events' });
    expect(refused).toMatchObject({ status: 503, body: { code: 'unavailable' } });
    await small.close();
  });

  test('with goodbye when the process stops, which need not wait for it (F-23)', async () => {
    const stopping = await startReplica(world.database.url, world.adminKey);
    const client = await greeted(world.adminKey, {}, await urlOf(stopping.app));
    const begun = performance.now();
    await stopping.close();
    expect(performance.now() - begun).toBeLessThan(5_000);
    expect(await client.next()).toMatchObject({ event: 'bye', data: { reason: 'stopping' } });
    expect(await client.next()).toBeNull();
    expect(stopping.runtime.events.size).toBe(0);
  });

  test('with all that was sent before its end, and nothing of what is sent after', async () => {
    const stream = new SseStream();
    const failed = vi.fn();
    stream.on('error', failed);
    stream.send('bye', { reason: 'stopping' });
    stream.end();
    stream.send('revision', {});
    expect(String(await buffer(stream))).toBe('event: bye\ndata: {"reason":"stopping"}\n\n');
    expect(failed).not.toHaveBeenCalled();
  });

  test('for a reader who takes nothing, before what is kept for them grows', async () => {
    const app = fastify();
    const stream = new SseStream();
    app.get('/', (_request, reply) => reply.type('text/event-stream').send(stream));
    const port = Number(new URL(await urlOf(app)).port);
    const socket = connect({ port, host: '127.0.0.1' }, () =>
      socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n'),
    );
    socket.on('error', () => {});
    socket.pause();
    const ended = once(stream, 'close');
    const told = 'x'.repeat(1_000);
    let sent = 0;
    for (; !stream.destroyed && sent < 100_000; sent += 1) {
      stream.send('revision', { told });
      if (sent % 100 === 0) await new Promise(setImmediate);
    }
    await ended;
    expect(sent).toBeLessThan(100_000);
    expect(stream.readableLength).toBeLessThan(200_000);
    socket.destroy();
    await app.close();
  });

  test('with a key that ends by itself, no later than the next heartbeat', { timeout: 40_000 }, async () => {
    expect(await expiring.next()).toMatchObject({ event: 'hello' });
    expect(await expiring.next()).toMatchObject({ event: 'bye', data: { reason: 'not_valid' } });
    expect(await expiring.next()).toBeNull();
    const heard = lasting.next().then(() => lasting.next());
    await quiet.replicas[0]?.request({ method: 'PUT', url: '/users/root/roles/viewer' });
    await quiet.replicas[0]?.request({ method: 'POST', url: '/authorize', payload: { permission: 'a.b' } });
    expect(await heard).toMatchObject({ event: 'revision' });
    expect(lasting.text()).toMatch(/\n\n:\n\n.*event: revision/s);
  });
});
