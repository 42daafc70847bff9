import { createHash } from 'node:crypto';
import { RolecallError } from '../domain/errors.ts';
import type { RoleKey } from '../domain/ids.ts';
import { canonicalJson, type Json } from '../domain/journal-entries.ts';
import { everywhere } from '../domain/scopes.ts';
import {
  effectiveValue,
  requireSettingKey,
  type SettingDefinition,
  type SettingKey,
  settingDefinitions,
  settingFault,
  settingKeys,
} from '../domain/settings.ts';
import type { ReadHandle } from '../storage/database.ts';
import { changedSettings, deleteSetting, putSetting, type SettingRow } from '../storage/settings.ts';
import type { Transactions, WriteHandle, Written } from '../storage/transaction.ts';
import { type Call, writeContextOf } from './call.ts';
import { forGood, guardChange, type Reach } from './guard.ts';
import { requireRole } from './lookups.ts';

/** A setting as it stands; `version` changes whenever what was set does. */
export interface Setting extends SettingDefinition {
  readonly key: SettingKey;
  /** What counts. */
  readonly value: Json;
  /** When it was set; null while it is at its default. */
  readonly updatedAt: number | null;
  readonly version: string;
}

export interface Settings {
  list(call: Call): Promise<readonly Setting[]>;
  /** Throws `unknown_setting`. */
  get(call: Call, key: string): Promise<Setting>;
  /**
   * Sets a value, or with null goes back to the default. Every replica knows it as soon as it knows the revision. Throws
   * `unknown_setting`, `immutable_setting`, `invalid_setting`, or `precondition_failed` if it is not of this version any
   * more. A default role is a door to what it gives: setting it is guarded as giving that, and taking it back as taking,
   * and so is letting tokens make users who get it.
   */
  change(call: Call, key: string, value: Json, version: string): Promise<Written<Setting>>;
}

export function openSettings(transactions: Transactions): Settings {
  return {
    list: (call) => transactions.read(call.deadline, readAll),

    get: (call, key) => transactions.read(call.deadline, (handle) => readOne(handle, requireSettingKey(key))),

    change: (call, text, value, version) =>
      transactions.write(writeContextOf(call), async (handle) => {
        const key = requireSettingKey(text);
        const current = await readOne(handle, key);
        if (!current.mutable)
          throw new RolecallError('immutable_setting', `the setting "${key}" is not for changing`);
        const fault = value === null ? undefined : settingFault(current, value);
        if (fault !== undefined)
          throw new RolecallError('invalid_setting', `${key}: ${fault}`, {
            errors: [{ pointer: '/value', code: 'invalid_value', detail: fault }],
          });
        const reach = await reachOf(handle, await rolesBehind(handle, current, value));
        await guardChange(handle, call, 'rolecall_manage_settings', everywhere, reach);
        if (current.version !== version)
          throw new RolecallError('precondition_failed', 'the setting is not what If-Match says any more');
        return set(handle, current, value);
      }),
  };
}

async function set(handle: WriteHandle, current: Setting, value: Json): Promise<Setting> {
  const { key } = current;
  const stored = current.updatedAt === null ? null : current.value;
  if (canonicalJson(stored) === canonicalJson(value)) return current;
  if (value === null) await deleteSetting(handle, key);
  else await putSetting(handle, key, value);
  handle.record({
    kind: 'setting_changed',
    before: { setting: key, value: stored },
    after: { setting: key, value },
  });
  return readOne(handle, key);
}

/** The roles that a change of a setting gives to people who are made, or no longer. */
async function rolesBehind(handle: ReadHandle, { key, value: before }: Setting, value: Json) {
  if (key === 'default_role') return [before, value];
  return key === 'create_users_for_identities' ? [(await readOne(handle, 'default_role')).value] : [];
}

/** Everything that these roles give. Throws `unknown_role`. */
async function reachOf(handle: ReadHandle, keys: readonly Json[]): Promise<readonly Reach[]> {
  const named = keys.filter((key): key is string => key !== null);
  const roles = await Promise.all(named.map((key) => requireRole(handle, key as RoleKey)));
  return roles.map(({ key }) => ({ role: key, ...forGood }));
}

async function readAll(handle: ReadHandle): Promise<readonly Setting[]> {
  const rows = new Map((await changedSettings(handle)).map((row) => [row.key, row]));
  return settingKeys.map((key) => settingOf(key, rows.get(key)));
}

async function readOne(handle: ReadHandle, key: SettingKey): Promise<Setting> {
  return settingOf(
    key,
    (await changedSettings(handle)).find((row) => row.key === key),
  );
}

function settingOf(key: SettingKey, row: SettingRow | undefined): Setting {
  const definition: SettingDefinition = settingDefinitions[key];
  return {
    ...definition,
    key,
    value: effectiveValue(definition, row?.value),
    updatedAt: row?.updatedAt ?? null,
    version: createHash('sha256')
      .update(canonicalJson([key, row?.value ?? null]))
      .digest('base64url')
      .slice(0, 22),
  };
}
