import { inspect } from 'node:util';
import { describe, expect, expectTypeOf, it, vi } from 'vitest';
import { type Config, loadConfig } from '../../src/config/config.ts';
import { ConfigurationError, type Requirement, variables } from '../../src/config/env.ts';
import { Secret } from '../../src/config/secrets.ts';

const password = 'correct-horse-battery';
const url = `postgres://rolecall:${password}@db.example:5432/rolecall`;
const key = '0123456789abcdef0123456789abcdef';
const both: readonly Requirement[] = ['database', 'journalKey'];

function problemsOf(
  environment: NodeJS.ProcessEnv,
  requirements: readonly Requirement[] = [],
): readonly string[] {
  try {
    loadConfig(requirements, environment);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.problems;
    throw error;
  }
  return [];
}

describe('origins of pages', () => {
  it('are read one by one', () => {
    const ROLECALL_CORS_ORIGINS = 'https://app.example.com, http://localhost:5173';
    expect(loadConfig([], { ROLECALL_CORS_ORIGINS }).corsOrigins).toEqual([
      'https://app.example.com',
      'http://localhost:5173',
    ]);
  });

  it.each([
    '*',
    'null',
    'app.example.com',
    'https://app.example.com/',
    'https://APP.example.com',
    'https://app.example.com:443',
    'https://u:p@app.example.com',
    'ftp://app.example.com',
    'https://a.example,,https://b.example',
  ])('are refused unless a browser sends them so: %s', (ROLECALL_CORS_ORIGINS) => {
    expect(problemsOf({ ROLECALL_CORS_ORIGINS })).toEqual([
      expect.stringMatching(/^ROLECALL_CORS_ORIGINS must be origins as .* is no origin$/),
    ]);
  });
});

describe('defaults', () => {
  it('are safe, and name no secret and no mode', () => {
    expect(loadConfig([], {})).toEqual({
      host: '127.0.0.1',
      identityProviders: [],
      tokenToleranceMs: 60_000,
      claimAgeMs: 86_400_000,
      requestsPerSecond: undefined,
      mostInFlight: 2000,
      wrongKeysPerSecond: 100,
      port: 3000,
      adminPort: undefined,
      databaseUrl: undefined,
      journalKey: undefined,
      logLevel: 'info',
      poolSize: 10,
      requestTimeoutMs: 2000,
      batchTimeoutMs: 20_000,
      connectTimeoutMs: 1000,
      readDatabaseUrl: undefined,
      freshness: 'latest',
      leaseMs: 1000,
      workers: 1,
      cacheMegabytes: 128,
      eventStreams: 1_000,
      corsOrigins: [],
      nodeEnv: undefined,
    });
  });

  it('are the documented ones', () => {
    const documented = variables.map(({ name, default: text }) => [name, text.replace(/,.*/, '')]);
    expect(loadConfig([], Object.fromEntries(documented))).toEqual(loadConfig([], {}));
  });

  it('stand for empty variables too', () => {
    const empty = Object.fromEntries(variables.map(({ name }) => [name, '']));
    expect(loadConfig([], { ...empty, ROLECALL_NOTHING: '' })).toEqual(loadConfig([], {}));
    expect(problemsOf(empty, both)).toHaveLength(2);
  });

  it('come from the environment of the process when none is given', () => {
    vi.stubEnv('PORT', '4711');
    vi.stubEnv('NODE_ENV', 'test');
    expect(loadConfig([])).toMatchObject({ port: 4711, nodeEnv: 'test' });
    vi.unstubAllEnvs();
  });
});

it('reads every variable', () => {
  const config = loadConfig(['database', 'journalKey'], {
    HOST: '::1',
    PORT: '0',
    DATABASE_URL: url,
    ROLECALL_JOURNAL_KEY: key,
    LOG_LEVEL: 'trace',
    ROLECALL_POOL_SIZE: '100',
    ROLECALL_REQUEST_TIMEOUT_MS: '60000',
    ROLECALL_CONNECT_TIMEOUT_MS: '100',
    NODE_ENV: 'production',
    PATH: '/bin',
  });
  expect(config).toMatchObject({
    host: '::1',
    port: 0,
    logLevel: 'trace',
    poolSize: 100,
    requestTimeoutMs: 60_000,
    connectTimeoutMs: 100,
    nodeEnv: 'production',
  });
  expect(config.databaseUrl.reveal()).toBe(url);
  expect(config.journalKey.reveal()).toBe(key);
  expect(Object.isFrozen(config)).toBe(true);
});

it('a requirement shows in the type', () => {
  const environment = { DATABASE_URL: url };
  expectTypeOf(loadConfig(['database'], environment).databaseUrl).toEqualTypeOf<Secret>();
  expectTypeOf(loadConfig(['database'], environment).journalKey).toEqualTypeOf<Secret | undefined>();
  const some: Requirement[] = [];
  expectTypeOf(loadConfig(some, environment).databaseUrl).toEqualTypeOf<Secret | undefined>();
  expectTypeOf(loadConfig(['database'], environment)).toExtend<Config>();
});

describe('what is missing', () => {
  it('is said with how to get it', () => {
    expect(problemsOf({}, ['database'])).toEqual([
      'DATABASE_URL is not set: the PostgreSQL to use, as postgres://user:password@host:5432/database',
    ]);
    expect(problemsOf({}, ['journalKey'])[0]).toMatch(
      /^ROLECALL_JOURNAL_KEY is not set: .*`openssl rand -hex 32`$/,
    );
    expect(problemsOf({}, both)).toHaveLength(2);
  });

  it('is no problem where it is not needed', () => {
    expect(problemsOf({ DATABASE_URL: url }, ['database'])).toEqual([]);
    expect(problemsOf({ ROLECALL_JOURNAL_KEY: key }, ['journalKey'])).toEqual([]);
  });
});

describe('numbers', () => {
  it.each([
    ['PORT', '0', '65535', ['-1', '65536']],
    ['ROLECALL_POOL_SIZE', '1', '100', ['0', '101']],
    ['ROLECALL_REQUEST_TIMEOUT_MS', '100', '60000', ['99', '60001']],
    ['ROLECALL_BATCH_TIMEOUT_MS', '100', '600000', ['99', '600001']],
    ['ROLECALL_CONNECT_TIMEOUT_MS', '100', '2000', ['99', '2001', '60001']],
  ])('%s from %s to %s', (name, least, most, beyond) => {
    expect(problemsOf({ [name]: least })).toEqual([]);
    expect(problemsOf({ [name]: most })).toEqual([]);
    for (const text of [
      ...beyond,
      'x',
      '1e3',
      '0x100',
      ' 300',
      '300 ',
      '300.0',
      '+300',
      '٣٠٠',
      'NaN',
      '9'.repeat(400),
    ]) {
      const problems = problemsOf({ [name]: text });
      expect(problems, text).toHaveLength(1);
      expect(problems[0], text).toMatch(new RegExp(`^${name} must be `));
    }
  });

  it('connecting never takes longer than the request', () => {
    const limits = { ROLECALL_REQUEST_TIMEOUT_MS: '500', ROLECALL_CONNECT_TIMEOUT_MS: '501' };
    expect(problemsOf(limits)).toEqual([
      'ROLECALL_CONNECT_TIMEOUT_MS must be at most ROLECALL_REQUEST_TIMEOUT_MS',
    ]);
    expect(loadConfig([], { ROLECALL_REQUEST_TIMEOUT_MS: '500' }).connectTimeoutMs).toBe(500);
    expect(loadConfig([], { ROLECALL_REQUEST_TIMEOUT_MS: '5000' }).connectTimeoutMs).toBe(1000);
  });

  it('administration has a port of its own or none', () => {
    const problem = 'ROLECALL_ADMIN_PORT must be another port than PORT';
    expect(problemsOf({ PORT: '4000', ROLECALL_ADMIN_PORT: '4000' })).toEqual([problem]);
    expect(problemsOf({ ROLECALL_ADMIN_PORT: '3000' })).toEqual([problem]);
    expect(loadConfig([], { PORT: '0', ROLECALL_ADMIN_PORT: '0' }).adminPort).toBe(0);
  });
});

describe('words', () => {
  it.each([
    [
      'LOG_LEVEL',
      ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'],
      ['INFO', 'verbose', ' info'],
    ],
    ['NODE_ENV', ['development', 'production', 'test'], ['prod', 'Production', 'staging', 'dev']],
    [
      'HOST',
      ['localhost', '0.0.0.0', '::', 'fe80::1%eth0', 'db-1.example'],
      ['http://x', 'a b', '[::1]', 'a/b'],
    ],
  ])('%s', (name, good, bad) => {
    for (const text of good) expect(problemsOf({ [name]: text }), text).toEqual([]);
    for (const text of bad) {
      const problems = problemsOf({ [name]: text });
      expect(problems, text).toHaveLength(1);
      expect(problems[0], text).toMatch(new RegExp(`^${name} must be `));
    }
  });
});

describe('DATABASE_URL', () => {
  it.each([
    'postgres://localhost/rolecall',
    'postgresql://localhost/rolecall',
    'postgres://a:b@one:5432,two:5433/rolecall?target_session_attrs=primary',
    'postgres://a:p,w@one,two',
    'postgres://a:p%40ss%25@host/db',
  ])('may be %s', (text) => expect(problemsOf({ DATABASE_URL: text })).toEqual([]));

  it.each([
    'mysql://root@localhost/db',
    'sqlite::memory:',
    'file:./rolecall.db',
    'postgres:rolecall',
    'postgress://localhost/db',
    'localhost:5432/db',
    ' postgres://localhost/db',
    'http://localhost/?postgres://',
  ])('is refused for another database: %s', (text) => {
    expect(problemsOf({ DATABASE_URL: text })).toEqual([
      'DATABASE_URL must begin with postgres:// or postgresql://: Rolecall runs on PostgreSQL only',
    ]);
  });

  it.each([
    'postgres://a:pass#word@host/db',
    'postgres://a:pass%word@host/db',
    'postgres://a:b@host:port/db',
    'postgres://a:b@ho st/db',
  ])('is refused where the driver could not read it: %s', (text) => {
    expect(problemsOf({ DATABASE_URL: text })).toEqual([
      expect.stringMatching(/^DATABASE_URL is not a valid URL/),
    ]);
  });
});

describe('ROLECALL_JOURNAL_KEY', () => {
  it('has 32 to 256 characters', () => {
    const long = 'ab'.repeat(128);
    for (const text of [key, long, 'é😀'.repeat(128)])
      expect(problemsOf({ ROLECALL_JOURNAL_KEY: text })).toEqual([]);
    for (const text of [key.slice(1), `${long}c`, '😀é'.repeat(15)])
      expect(problemsOf({ ROLECALL_JOURNAL_KEY: text })).toEqual([
        'ROLECALL_JOURNAL_KEY must have 32 to 256 characters; make one with `openssl rand -hex 32`',
      ]);
  });

  it.each([
    '0'.repeat(64),
    ' '.repeat(32),
    '😀'.repeat(40),
    '\n'.repeat(32),
    'change-me-change-me-change-me-change-me',
  ])('is not %j', (text) => {
    expect(problemsOf({ ROLECALL_JOURNAL_KEY: text })).toEqual([
      'ROLECALL_JOURNAL_KEY can be guessed: 32 to 256 characters; make one with `openssl rand -hex 32`',
    ]);
  });
});

it('names variables nobody reads', () => {
  expect(
    problemsOf({ ROLECALL_POOLSIZE: '5', ROLECALL_: 'x', rolecall_x: '1', PGHOST: 'x', ROLECALLX: '1' }),
  ).toEqual(['ROLECALL_POOLSIZE is not a variable of Rolecall', 'ROLECALL_ is not a variable of Rolecall']);
});

it('leaves alone what Kubernetes says of services that are called rolecall', () => {
  const links = {
    ROLECALL_SERVICE_HOST: '10.0.0.1',
    ROLECALL_SERVICE_PORT: '3000',
    ROLECALL_SERVICE_PORT_HTTP: '3000',
    ROLECALL_PORT: 'tcp://10.0.0.1:3000',
    ROLECALL_PORT_3000_TCP: 'tcp://10.0.0.1:3000',
    ROLECALL_PORT_3000_TCP_PROTO: 'tcp',
    ROLECALL_PORT_3000_TCP_ADDR: '10.0.0.1',
    ROLECALL_ADMIN_PORT: 'tcp://10.0.0.2:3001',
    ROLECALL_ADMIN_SERVICE_HOST: '10.0.0.2',
  };
  expect(loadConfig([], links).adminPort).toBeUndefined();
  expect(problemsOf({ ...links, ROLECALL_PORT: '4000' })).toEqual([
    'ROLECALL_PORT is not a variable of Rolecall',
  ]);
});

it('has server and user before the query of a database URL', () => {
  const problem = (part: string) =>
    expect.stringContaining(`DATABASE_URL must have its ${part} before the "?"`);
  expect(problemsOf({ DATABASE_URL: 'postgres:///rolecall?host=/run/postgresql' })).toEqual([
    problem('host'),
  ]);
  expect(problemsOf({ DATABASE_URL: 'postgres://a@b/c?sslmode=require&password=x' })).toEqual([
    problem('password'),
  ]);
});

it('says everything at once', () => {
  const broken = {
    HOST: 'a b',
    PORT: 'x',
    DATABASE_URL: 'mysql://x',
    LOG_LEVEL: 'loud',
    ROLECALL_POOL_SIZE: '0',
    ROLECALL_REQUEST_TIMEOUT_MS: '200',
    ROLECALL_CONNECT_TIMEOUT_MS: '300',
    ROLECALL_POOLSIZE: '5',
    NODE_ENV: 'prod',
  };
  const problems = problemsOf(broken, both);
  for (const name of Object.keys(broken).filter((name) => name !== 'ROLECALL_REQUEST_TIMEOUT_MS'))
    expect(
      problems.filter((problem) => problem.startsWith(`${name} `)),
      name,
    ).toHaveLength(1);
  expect(problems.filter((problem) => problem.startsWith('ROLECALL_JOURNAL_KEY is not set'))).toHaveLength(1);
  expect(problems).toHaveLength(9);
  expect(new ConfigurationError(['one', 'two']).message).toBe(
    'The configuration is not usable:\n- one\n- two',
  );
});

describe('secrets', () => {
  it('show in no output', () => {
    const config = loadConfig(['database', 'journalKey'], { DATABASE_URL: url, ROLECALL_JOURNAL_KEY: key });
    const outputs = [
      JSON.stringify(config),
      inspect(config, { depth: 9, showHidden: true, getters: true }),
      inspect(config, { customInspect: false, showHidden: true }),
      String(config.databaseUrl),
      `${config.journalKey}`,
      `${config.databaseUrl}`.concat(config.journalKey as unknown as string),
      JSON.stringify({ ...config.databaseUrl }),
      inspect(new Error('x', { cause: config })),
      JSON.stringify(Object.getOwnPropertyNames(config.databaseUrl)),
    ].join('\n');
    expect(outputs).not.toContain(password);
    expect(outputs).not.toContain(key);
    expect(JSON.parse(JSON.stringify(config))).toMatchObject({
      databaseUrl: '[secret]',
      journalKey: '[secret]',
    });
    expect(inspect(config)).toContain('databaseUrl: [secret]');
  });

  it('show in no problem', () => {
    const environments: NodeJS.ProcessEnv[] = [
      { DATABASE_URL: `mysql://u:${password}@host/db` },
      { DATABASE_URL: `postgres://u:${password}#@host/db` },
      { DATABASE_URL: password },
      { ROLECALL_JOURNAL_KEY: password },
      { ROLECALL_JOURNAL_KEY: password.repeat(40) },
      { DATABASE_URL: url, ROLECALL_JOURNAL_KEY: password, PORT: 'x' },
      {
        PORT: password,
        HOST: `${password} `,
        NODE_ENV: password,
        LOG_LEVEL: password,
        ROLECALL_POOL_SIZE: password,
      },
    ];
    for (const environment of environments) {
      try {
        loadConfig([], environment);
        expect.unreachable();
      } catch (error) {
        expect(error).toBeInstanceOf(ConfigurationError);
        expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(password);
      }
    }
  });

  it('are given by reveal alone', () => expect(new Secret('x').reveal()).toBe('x'));
});

it('the table names what is read, secrets as secrets', () => {
  const secret = variables.filter((variable) => variable.secret).map((variable) => variable.name);
  expect(secret).toEqual(['DATABASE_URL', 'ROLECALL_READ_DATABASE_URL', 'ROLECALL_JOURNAL_KEY']);
  for (const { name } of variables)
    if (name.startsWith('ROLECALL_')) expect(problemsOf({ [name]: '' })).toEqual([]);
  const misread = variables
    .filter(({ name }) => problemsOf({ [name]: ' ' }).length === 1)
    .map(({ name }) => name);
  expect(misread).toEqual(variables.map(({ name }) => name));
});
