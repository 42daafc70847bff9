import { execFile } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TestDatabase } from '../support/database.ts';
import { long, summarize } from '../support/long-run.ts';
import { environmentFor, type Program, run, start } from '../support/program.ts';
import { createWatchedDatabase } from '../support/shadow-log.ts';

const count = long ? 10_000 : 100;

let database: TestDatabase;
let folder: string;
let program: Program;
let origin: string;
let adminKey: string;

beforeAll(async () => {
  database = await createWatchedDatabase();
  folder = await mkdtemp(join(tmpdir(), 'rolecall-memory-'));
  const made = await run(
    ['keys', 'create', '--user', 'root', '--role', 'admin', '--json'],
    environmentFor(database.url),
  );
  adminKey = JSON.parse(made.stdout).key;
  const signal = `--heapsnapshot-signal=SIGUSR2 --diagnostic-dir=${folder}`;
  program = start(['serve'], environmentFor(database.url, { NODE_OPTIONS: signal }));
  const [, url] = await program.prints(/"msg":"listening on ([^"]+)"/);
  origin = url as string;
});
afterAll(async () => {
  program.child.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true });
  await database.drop();
});

async function ask(key: string, path: string, body?: object) {
  return fetch(`${origin}${path}`, {
    method: body ? 'POST' : 'GET',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
}

/** Everything that the process holds on to, as V8 writes it down after it cleared away the rest. */
async function snapshot(): Promise<string> {
  program.child.kill('SIGUSR2');
  for (;;) {
    const [name] = (await readdir(folder)).filter((file) => file.endsWith('.heapsnapshot'));
    const text = name === undefined ? '' : await readFile(join(folder, name), 'latin1');
    if (text.trimEnd().endsWith('}')) return text;
    await pause(100);
  }
}

/** Which of some beginnings of secrets are anywhere in it. */
function foundIn(text: string, beginnings: ReadonlySet<string>): ReadonlySet<string> {
  const found = new Set<string>();
  for (let at = text.indexOf('_'); at !== -1; at = text.indexOf('_', at + 1)) {
    const piece = text.slice(at + 1, at + 1 + beginningLength);
    if (beginnings.has(piece)) found.add(piece);
  }
  return found;
}

const beginningLength = 24;

test('a process that made and checked many keys holds on to none of their secrets (A-22)', {
  timeout: 900_000,
}, async () => {
  const keys: string[] = [adminKey];
  for (let made = 0; made < count; made += 1) {
    const { key } = (await (await ask(adminKey, '/keys', { user: 'root', name: `key ${made}` })).json()) as {
      key: string;
    };
    keys.push(key);
    // By the third time it is known again by what was remembered of the second.
    for (let time = 0; time < 3; time += 1) expect((await ask(key, '/me/permissions')).status).toBe(200);
    expect((await ask(`${key.slice(0, -1)}!`, '/me/permissions')).status).toBe(401);
  }
  // What came last is in the buffers of a connection until something else comes.
  for (let time = 0; time < 200; time += 1) await ask('rc_nobody', '/me/permissions');
  const beginnings = new Set(keys.map((key) => key.slice(16, 16 + beginningLength)));
  expect(foundIn(keys.join(' '), beginnings).size).toBe(count + 1);
  const held = await snapshot();
  // The snapshot has texts that the process holds: the pattern of its routes.
  expect(held).toContain('/me/permissions');
  expect(foundIn(held, beginnings)).toEqual(new Set());
  summarize('secrets that a process at rest holds on to (A-22)', {
    keys: count,
    'in its heap': 0,
    'bytes of snapshot': held.length,
    'left over in its memory, of all keys': await leftInCore(beginnings),
  });
});

/** What nobody refers to any more and nothing has overwritten yet; told, and not promised. */
async function leftInCore(beginnings: ReadonlySet<string>): Promise<string> {
  if (!long) return 'not looked for';
  try {
    await promisify(execFile)('gcore', ['-o', join(folder, 'core'), String(program.child.pid)]);
  } catch {
    return 'not looked for: there is no gcore';
  }
  const [core = ''] = (await readdir(folder)).filter((name) => name.startsWith('core.'));
  const found = new Set<string>();
  let isReadable = false;
  let before = '';
  for await (const part of createReadStream(join(folder, core), { highWaterMark: 2 ** 24 })) {
    const text = before + (part as Buffer).toString('latin1');
    for (const one of foundIn(text, beginnings)) found.add(one);
    isReadable ||= text.includes('rc_nobody');
    before = text.slice(-2 * beginningLength);
  }
  // What came last is there.
  expect(isReadable).toBe(true);
  return String(found.size);
}
