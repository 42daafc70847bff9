import { RolecallError } from './errors.ts';
import type { Json } from './journal-entries.ts';
import { nearestNames } from './suggestions.ts';

export type SettingType = 'string' | 'integer' | 'boolean' | 'json';

/** Something an installation may set while it runs. What differs from process to process is a variable instead. */
export interface SettingDefinition {
  readonly type: SettingType;
  readonly category: 'users' | 'answers' | 'limits' | 'retention';
  readonly description: string;
  /** Whether anybody but a release of the service may change it. */
  readonly mutable: boolean;
  /** What counts while nobody set anything; null where that is nothing. */
  readonly default: Json;
  /** Of an integer. */
  readonly least?: number;
  /** Of an integer; of a string its longest length. */
  readonly most?: number;
}

/** Everything there is to set. A key is never given another meaning: rows of it may be anywhere. */
export const settingDefinitions = {
  authorize_batch_limit: {
    type: 'integer',
    category: 'limits',
    description: 'The most questions that one POST /authorize/batch may ask',
    mutable: true,
    default: 1_000,
    least: 1,
    most: 1_000,
  },
  create_users_for_identities: {
    type: 'boolean',
    category: 'users',
    description:
      'Whether the first valid token of an identity that nobody has makes a user with the default role; if not, it is refused',
    mutable: true,
    default: false,
  },
  default_role: {
    type: 'string',
    category: 'users',
    description:
      'The role that each new user gets everywhere, from POST /users or a token; none while it is not set',
    mutable: true,
    default: null,
    most: 100,
  },
  grant_batch_limit: {
    type: 'integer',
    category: 'limits',
    description: 'The most changes that one POST /grants/batch may make',
    mutable: true,
    default: 10_000,
    least: 1,
    most: 10_000,
  },
  idempotency_hours: {
    type: 'integer',
    category: 'retention',
    description: 'Hours for which the answer to an Idempotency-Key is kept',
    mutable: false,
    default: 24,
  },
  lease_ms: {
    type: 'integer',
    category: 'answers',
    description:
      'Milliseconds for which `lease` answers from memory, on every replica; not set, each goes by its ROLECALL_LEASE_MS',
    mutable: true,
    default: null,
    least: 0,
    most: 60_000,
  },
  permission_batch_limit: {
    type: 'integer',
    category: 'limits',
    description: 'The most permissions that one POST /permissions/batch may register',
    mutable: true,
    default: 1_000,
    least: 1,
    most: 1_000,
  },
  personal_retention_days: {
    type: 'integer',
    category: 'retention',
    description:
      'Days after which `rolecall admin purge-personal` erases personal values from the journal; not set, they are kept',
    mutable: true,
    default: null,
    least: 1,
    most: 36_500,
  },
} as const satisfies Readonly<Record<string, SettingDefinition>>;

export type SettingKey = keyof typeof settingDefinitions;

export const settingKeys = Object.keys(settingDefinitions).sort() as SettingKey[];

interface Values {
  readonly string: string;
  readonly integer: number;
  readonly boolean: boolean;
  readonly json: Json;
}
type Definitions = typeof settingDefinitions;

/** What counts, of every setting. */
export type SettingValues = {
  readonly [Key in SettingKey]: Values[Definitions[Key]['type']] | Extract<Definitions[Key]['default'], null>;
};

/** Reads a key. Throws `unknown_setting` with the nearest ones. */
export function requireSettingKey(text: string): SettingKey {
  const key = settingKeys.find((known) => known === text);
  if (key) return key;
  throw new RolecallError('unknown_setting', 'there is no setting with this key', {
    didYouMean: nearestNames(text, settingKeys),
  });
}

/** What is wrong with a value for a setting, in a sentence; undefined if nothing is. */
export function settingFault(definition: SettingDefinition, value: Json): string | undefined {
  const { type, least = Number.MIN_SAFE_INTEGER, most = Number.MAX_SAFE_INTEGER } = definition;
  switch (type) {
    case 'integer':
      if (!Number.isSafeInteger(value)) return 'this setting is a whole number';
      return (value as number) < least || (value as number) > most
        ? `this setting is a whole number from ${least} to ${most}`
        : undefined;
    case 'string':
      if (typeof value !== 'string') return 'this setting is a text';
      return value.length > most ? `this setting is a text of at most ${most} characters` : undefined;
    case 'boolean':
      return typeof value === 'boolean' ? undefined : 'this setting is true or false';
    case 'json':
      return undefined;
  }
}

/** Values that were set, by key; those of settings that this release does not know too. */
export type StoredSettings = Readonly<Record<string, Json>>;

/** What counts: what was set, and the default where nothing was, or nothing that this release would take. */
export function settingValues(stored: StoredSettings): SettingValues {
  const values = settingKeys.map((key) => [key, effectiveValue(settingDefinitions[key], stored[key])]);
  return Object.fromEntries(values) as SettingValues;
}

/** The same of one setting. */
export function effectiveValue(definition: SettingDefinition, stored: Json | undefined): Json {
  const counts = stored !== undefined && definition.mutable && settingFault(definition, stored) === undefined;
  return counts ? stored : definition.default;
}
