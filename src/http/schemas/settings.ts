import { z } from 'zod';
import type { Json } from '../../domain/journal-entries.ts';
import { settingDefinitions, settingKeys } from '../../domain/settings.ts';
import { writtenMembers } from './answers.ts';
import { bodyMeta, listOf, timeOut } from './primitives.ts';

export const settingParams = z.strictObject({
  setting: z
    .string()
    .max(100)
    .meta({ description: 'A setting key', examples: [settingKeys[0]] }),
});

const anything = z.union([
  z.string(),
  z.number(),
  z.boolean(),
  z.null(),
  z.array(z.unknown()),
  z.record(z.string(), z.unknown()),
]);
const json = anything as z.ZodType as z.ZodType<Json, Json>;

export const changeSettingBody = z
  .strictObject({ value: json.meta({ description: 'null goes back to the default' }) })
  .meta(bodyMeta('ChangeSettingRequest', { value: 500 }));

const setting = z
  .object({
    key: z.string().meta({ examples: [settingKeys[0]] }),
    value: json.meta({ description: 'What counts; null where nothing is set' }),
    type: z.enum(['string', 'integer', 'boolean', 'json']),
    category: z.string(),
    description: z.string().meta({ examples: [settingDefinitions.authorize_batch_limit.description] }),
    mutable: z.boolean(),
    default: json,
    least: z.int().optional().meta({ description: 'Of an integer' }),
    most: z.int().optional().meta({ description: 'Of an integer; of a string its longest length' }),
    updatedAt: timeOut.nullable().meta({ description: 'When it was set; null while it is at its default' }),
    version: z.string().meta({ description: 'Its ETag without the quotes' }),
  })
  .meta({ id: 'Setting' });

export const settingAnswer = setting;
export const settingList = z.object({ data: listOf(setting) }).meta({ id: 'Settings' });
export const settingWritten = z.object({ setting, ...writtenMembers }).meta({ id: 'SettingWritten' });
