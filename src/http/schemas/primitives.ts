import { z } from 'zod';
import { type Parsed, parseRoleKey, parseScope, parseUserId } from '../../domain/ids.ts';
import { parseMoment } from '../../domain/moments.ts';
import { parsePermissionReference, parseRegistrable } from '../../domain/permissions.ts';
import { parseEmail } from '../../domain/users.ts';

/** A string that one of the domain's own parsers accepts, as what that parser makes of it. */
function parsedBy<T>(parse: (text: string) => Parsed<T>): z.ZodType<T, string> {
  // As a check, not as a transform: that costs three times as much, and every question has three of them.
  const text: z.ZodType = z.string().check((context) => {
    const parsed = parse(context.value);
    if (parsed.ok) context.value = parsed.value as string;
    else context.issues.push({ code: 'custom', message: parsed.why, input: context.value });
  });
  return text as z.ZodType<T, string>;
}

export const userId = parsedBy(parseUserId).meta({
  description: 'A user id, as the caller chose it: 1-255 characters',
  examples: ['maria'],
});
export const roleKey = parsedBy(parseRoleKey).meta({ description: 'A role key', examples: ['loader'] });
export const permission = parsedBy(parsePermissionReference).meta({
  description: 'A permission as `resource.action`, `resource:action` or its slug',
  examples: ['customers.change_customer'],
});
export const registrable = parsedBy(parseRegistrable).meta({
  description:
    'A permission as `resource.action` or `resource:action`; the slug of one that is registered, or beside it in the request',
  examples: ['invoices.approve_invoice'],
});
export const scope = parsedBy(parseScope).meta({
  description: 'A scope path; left out or empty it is everywhere',
  examples: ['warehouse/north'],
});
export const email = parsedBy(parseEmail).meta({ examples: ['maria@example.com'] });
export const revision = z
  .string()
  .max(100)
  .meta({
    description: 'A revision that an earlier answer gave',
    examples: ['0f3a9c51d2e7-42'],
  });

export const moment = parsedBy(parseMoment).meta({
  description:
    'As it was then: after the last change up to this time, or after this revision and at its time; not in the future',
  examples: ['2027-01-31T12:00:00Z'],
});

const lastInstant = Date.UTC(9999, 11, 31, 23, 59, 59, 999);

/** A point in time as callers send it, kept as milliseconds. */
export const timeIn = z.iso
  .datetime({ offset: true, error: 'a time is RFC 3339, as 2027-01-31T12:00:00Z' })
  .transform((text, context) => {
    const instant = Date.parse(text);
    if (instant >= 0 && instant <= lastInstant) return instant;
    context.addIssue({ code: 'custom', message: 'a time lies between the years 1970 and 9999, in UTC' });
    return z.NEVER;
  })
  .meta({ description: 'RFC 3339', examples: ['2027-01-31T12:00:00Z'] });

/** Milliseconds as callers receive them. */
export const timeOut = z
  .number()
  .transform((instant) => new Date(instant).toISOString())
  .pipe(z.iso.datetime())
  .meta({ description: 'RFC 3339, UTC', examples: ['2027-01-31T12:00:00.000Z'] });

/** Free text for people: no controls but line ends and tabs, well-formed. */
export function text(longest: number, shortest = 0) {
  return z
    .string()
    .min(shortest)
    .max(longest)
    .refine((value) => value.isWellFormed() && !/[^\P{Cc}\n\t]/u.test(value), {
      error: 'this text has control characters',
    });
}

export const slug = z
  .string()
  .meta({ description: 'A permission slug', examples: ['customers_change_customer'] });

/** A list in an answer. Nothing is written to it, so it takes what the services give: read-only ones. */
export function listOf<Item extends z.ZodType>(item: Item) {
  return z.array(item) as z.ZodType as z.ZodType<z.output<Item>[], readonly z.input<Item>[]>;
}

export const slugs = listOf(slug).meta({ examples: [['customers_change_customer', 'orders_view_order']] });
export const revisionOut = z.string().meta({ description: 'Opaque', examples: ['0f3a9c51d2e7-42'] });

/** What names a request body in the OpenAPI document; zod leaves examples out of whatever transforms its input. */
export function bodyMeta(id: string, ...examples: readonly object[]) {
  return { id, override: { examples: [...examples] } };
}
