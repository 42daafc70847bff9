import { z } from 'zod';
import { type IdentityProvider, providersForm, readProviders } from './identity-providers.ts';
import { isOrigin, originsForm } from './origins.ts';
import { databaseForm, databaseUrlProblem, journalKeyForm, journalKeyProblem, Secret } from './secrets.ts';

/** What a command cannot do without. */
export type Requirement = 'database' | 'journalKey';

/** The environment is not one Rolecall can run in. Every problem is a sentence for people; no secret is in any. */
export class ConfigurationError extends Error {
  override readonly name = 'ConfigurationError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(['The configuration is not usable:', ...problems].join('\n- '));
    this.problems = problems;
  }
}

/** Every variable Rolecall reads, for the table of the README. */
export const variables: readonly { name: string; meaning: string; default: string; secret: boolean }[] = [
  variable('HOST', 'address to listen on', '127.0.0.1'),
  variable('PORT', 'port to listen on, 0-65535; 0 takes any free one', '3000'),
  variable(
    'ROLECALL_ADMIN_PORT',
    'another port, for administration; PORT then answers checks, /me, /events and operations only',
    '',
  ),
  secret('DATABASE_URL', databaseForm),
  secret(
    'ROLECALL_READ_DATABASE_URL',
    "a streaming standby of DATABASE_URL to read decisions' rows from, in the same form",
  ),
  secret('ROLECALL_JOURNAL_KEY', `the key that seals the journal, needed to write, ${journalKeyForm}`),
  variable('LOG_LEVEL', 'fatal, error, warn, info, debug, trace or silent', 'info'),
  variable('ROLECALL_POOL_SIZE', 'database connections of one process for reads, 1-100', '10'),
  variable('ROLECALL_REQUEST_TIMEOUT_MS', 'milliseconds until a request is given up, 100-60000', '2000'),
  variable(
    'ROLECALL_BATCH_TIMEOUT_MS',
    'milliseconds until a batch of grants is given up, 100-600000; other writes wait for it',
    '20000',
  ),
  variable(
    'ROLECALL_CONNECT_TIMEOUT_MS',
    'milliseconds until connecting to the database is given up, 100 to ROLECALL_REQUEST_TIMEOUT_MS',
    '1000, or ROLECALL_REQUEST_TIMEOUT_MS where that is less',
  ),
  variable('ROLECALL_FRESHNESS', 'latest or lease: how current an answer is that asks for neither', 'latest'),
  variable(
    'ROLECALL_LEASE_MS',
    'milliseconds for which `lease` answers from memory where the setting lease_ms is not set, 0-60000',
    '1000',
  ),
  variable('ROLECALL_WORKERS', 'processes that `serve` runs on one address, 1-64', '1'),
  variable(
    'ROLECALL_CACHE_MB',
    'megabytes of memory for users and keys that were asked about, 1-65536',
    '128',
  ),
  variable(
    'ROLECALL_RATE_LIMIT',
    'requests that one credential may make in a second, of each process, 1-1000000',
    '',
  ),
  variable(
    'ROLECALL_MAX_IN_FLIGHT',
    'requests of one process under way at once, half of them of one credential at most, 2-1000000',
    '2000',
  ),
  variable(
    'ROLECALL_WRONG_KEY_LIMIT',
    'wrong keys of one remote address that one process looks up in a second, 1-1000000',
    '100',
  ),
  variable('ROLECALL_EVENT_STREAMS', 'streams of `GET /events` that one process holds, 0-100000', '1000'),
  variable('ROLECALL_CORS_ORIGINS', `whose pages in browsers may ask, ${originsForm}`, ''),
  variable('ROLECALL_IDENTITY_PROVIDERS', `OpenID providers whose tokens are accepted, ${providersForm}`, ''),
  variable(
    'ROLECALL_TOKEN_TOLERANCE_SECONDS',
    'seconds by which the clocks of providers and database may differ, 0-300',
    '60',
  ),
  variable(
    'ROLECALL_CLAIM_HOURS',
    "hours for which a role lasts that a token's claims gave, from its iat on, 1-8760",
    '24',
  ),
  variable('NODE_ENV', 'development, production or test; left out means none of them', ''),
];

const schema = z
  .object({
    HOST: z
      .string()
      .regex(/^[\w.:%-]+$/, 'HOST must be a host name or an IP address')
      .default('127.0.0.1'),
    PORT: wholeNumber('PORT', 0, 65_535).default(3000),
    ROLECALL_ADMIN_PORT: wholeNumber('ROLECALL_ADMIN_PORT', 0, 65_535).optional(),
    DATABASE_URL: secretText((text) => databaseUrlProblem(text, 'DATABASE_URL')).optional(),
    ROLECALL_READ_DATABASE_URL: secretText((text) =>
      databaseUrlProblem(text, 'ROLECALL_READ_DATABASE_URL'),
    ).optional(),
    ROLECALL_JOURNAL_KEY: secretText(journalKeyProblem).optional(),
    LOG_LEVEL: oneOf('LOG_LEVEL', ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default(
      'info',
    ),
    ROLECALL_POOL_SIZE: wholeNumber('ROLECALL_POOL_SIZE', 1, 100).default(10),
    ROLECALL_REQUEST_TIMEOUT_MS: wholeNumber('ROLECALL_REQUEST_TIMEOUT_MS', 100, 60_000).default(2000),
    ROLECALL_BATCH_TIMEOUT_MS: wholeNumber('ROLECALL_BATCH_TIMEOUT_MS', 100, 600_000).default(20_000),
    ROLECALL_CONNECT_TIMEOUT_MS: wholeNumber('ROLECALL_CONNECT_TIMEOUT_MS', 100, 60_000).optional(),
    ROLECALL_FRESHNESS: oneOf('ROLECALL_FRESHNESS', ['latest', 'lease']).default('latest'),
    ROLECALL_LEASE_MS: wholeNumber('ROLECALL_LEASE_MS', 0, 60_000).default(1000),
    ROLECALL_WORKERS: wholeNumber('ROLECALL_WORKERS', 1, 64).default(1),
    ROLECALL_CACHE_MB: wholeNumber('ROLECALL_CACHE_MB', 1, 65_536).default(128),
    ROLECALL_RATE_LIMIT: wholeNumber('ROLECALL_RATE_LIMIT', 1, 1_000_000).optional(),
    ROLECALL_MAX_IN_FLIGHT: wholeNumber('ROLECALL_MAX_IN_FLIGHT', 2, 1_000_000).default(2000),
    ROLECALL_WRONG_KEY_LIMIT: wholeNumber('ROLECALL_WRONG_KEY_LIMIT', 1, 1_000_000).default(100),
    ROLECALL_EVENT_STREAMS: wholeNumber('ROLECALL_EVENT_STREAMS', 0, 100_000).default(1_000),
    ROLECALL_CORS_ORIGINS: origins('ROLECALL_CORS_ORIGINS').default([]),
    ROLECALL_IDENTITY_PROVIDERS: identityProviders('ROLECALL_IDENTITY_PROVIDERS').default([]),
    ROLECALL_TOKEN_TOLERANCE_SECONDS: wholeNumber('ROLECALL_TOKEN_TOLERANCE_SECONDS', 0, 300).default(60),
    ROLECALL_CLAIM_HOURS: wholeNumber('ROLECALL_CLAIM_HOURS', 1, 8_760).default(24),
    NODE_ENV: oneOf('NODE_ENV', ['development', 'production', 'test']).optional(),
  })
  .refine((read) => !isMore(read.ROLECALL_CONNECT_TIMEOUT_MS, read.ROLECALL_REQUEST_TIMEOUT_MS), {
    error: 'ROLECALL_CONNECT_TIMEOUT_MS must be at most ROLECALL_REQUEST_TIMEOUT_MS',
    when: () => true,
  })
  .refine(({ PORT, ROLECALL_ADMIN_PORT }) => PORT === 0 || PORT !== ROLECALL_ADMIN_PORT, {
    error: 'ROLECALL_ADMIN_PORT must be another port than PORT',
    when: () => true,
  });

/** The variables as they were read, defaults filled in. */
export type Environment = z.output<typeof schema>;

const missing: readonly { requirement: Requirement; name: keyof Environment; problem: string }[] = [
  {
    requirement: 'database',
    name: 'DATABASE_URL',
    problem: `DATABASE_URL is not set: ${databaseForm}`,
  },
  {
    requirement: 'journalKey',
    name: 'ROLECALL_JOURNAL_KEY',
    problem: `ROLECALL_JOURNAL_KEY is not set: the key that seals the journal, ${journalKeyForm}`,
  },
];

/**
 * Reads and checks every variable; an empty one counts as not set. Throws a ConfigurationError with all problems at
 * once: values out of bounds, requirements that are missing, and `ROLECALL_` variables nobody reads.
 */
export function readEnvironment(
  requirements: readonly Requirement[],
  environment: NodeJS.ProcessEnv = process.env,
): Environment {
  const set = Object.fromEntries(
    Object.entries(environment).filter(
      ([name, value]) => value !== undefined && value !== '' && !isServiceLink(name, value),
    ),
  );
  const read = schema.safeParse(set);
  const problems = [
    ...missing
      .filter(({ requirement, name }) => requirements.includes(requirement) && set[name] === undefined)
      .map(({ problem }) => problem),
    ...(read.error?.issues ?? []).map((issue) => issue.message),
    ...Object.keys(set)
      .filter((name) => name.startsWith('ROLECALL_') && !(name in schema.shape))
      .map((name) => `${name} is not a variable of Rolecall`),
  ];
  if (!read.success || problems.length > 0) throw new ConfigurationError(problems);
  return read.data;
}

/** What Kubernetes puts into every container's environment for a Service whose name begins with `rolecall`. */
function isServiceLink(name: string, value: string): boolean {
  const isNamedSo =
    /^ROLECALL_(\w+_)?(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$/;
  return isNamedSo.test(name) || (/^ROLECALL_(\w+_)?PORT$/.test(name) && /^(tcp|udp|sctp):\/\//.test(value));
}

function variable(name: string, meaning: string, otherwise: string) {
  return { name, meaning, default: otherwise, secret: false };
}

function secret(name: string, meaning: string) {
  return { name, meaning, default: '', secret: true };
}

function wholeNumber(name: string, least: number, most: number) {
  return z
    .string()
    .refine((text) => /^\d+$/.test(text) && Number(text) >= least && Number(text) <= most, {
      error: `${name} must be a whole number from ${least} to ${most}`,
    })
    .transform(Number);
}

function secretText(problemOf: (text: string) => string | undefined) {
  return z
    .string()
    .superRefine((text, context) => {
      const problem = problemOf(text);
      if (problem !== undefined) context.addIssue(problem);
    })
    .transform((text) => new Secret(text));
}

function identityProviders(name: string) {
  return z.string().transform((text, context): readonly IdentityProvider[] => {
    const read = readProviders(text, name);
    if ('providers' in read) return read.providers;
    for (const problem of read.problems) context.addIssue(problem);
    return z.NEVER;
  });
}

function origins(name: string) {
  return z
    .string()
    .transform((text) => text.split(',').map((origin) => origin.trim()))
    .superRefine((listed, context) => {
      for (const origin of listed.filter((one) => !isOrigin(one)))
        context.addIssue(`${name} must be ${originsForm}: ${JSON.stringify(origin)} is no origin`);
    })
    .transform((listed): readonly string[] => listed);
}

function oneOf<const Choice extends string>(name: string, choices: readonly Choice[]) {
  return z.enum(choices, `${name} must be one of ${choices.join(', ')}`);
}

// The check runs whatever else is wrong, and then sees the text of a number that could not be read.
function isMore(one: unknown, other: unknown): boolean {
  return typeof one === 'number' && typeof other === 'number' && one > other;
}
