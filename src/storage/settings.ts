import type { Json } from '../domain/journal-entries.ts';
import {
  type SettingKey,
  type SettingValues,
  type StoredSettings,
  settingValues,
} from '../domain/settings.ts';
import type { ChangeHandle, ReadHandle } from './database.ts';

/** What was set, and when last. */
export interface SettingRow {
  readonly key: string;
  readonly value: Json;
  readonly updatedAt: number;
}

/** The settings that were changed, in no order. */
export async function changedSettings({ sql }: ReadHandle): Promise<readonly SettingRow[]> {
  return sql<SettingRow[]>`
    select key, value, (extract(epoch from updated_at) * 1000)::float8 as "updatedAt" from rolecall.settings`;
}

/** What counts as of this transaction; within a write, after the lock. */
export async function readSettings(handle: ReadHandle): Promise<SettingValues> {
  const stored: StoredSettings = Object.fromEntries(
    (await changedSettings(handle)).map(({ key, value }) => [key, value]),
  );
  return settingValues(stored);
}

export async function putSetting({ sql }: ChangeHandle, key: SettingKey, value: Json): Promise<void> {
  await sql`
    insert into rolecall.settings (key, value) values (${key}, ${JSON.stringify(value)}::text::jsonb)
    on conflict (key) do update set value = excluded.value, updated_at = now()`;
}

export async function deleteSetting({ sql }: ChangeHandle, key: SettingKey): Promise<void> {
  await sql`delete from rolecall.settings where key = ${key}`;
}
