import { bigint, customType, pgSchema } from 'drizzle-orm/pg-core';
import type { Instant } from '../../domain/ids.ts';

/** Everything Rolecall owns lives here, so that it can share a database with anybody. */
export const rolecall = pgSchema('rolecall');

/** Internal key of a row. It never leaves the service and, coming from an identity, is never used twice. */
export const pk = () => bigint({ mode: 'number' }).primaryKey().generatedAlwaysAsIdentity();

/** Reference to a row by its internal key. */
export const keyOf = (column: string) => bigint(column, { mode: 'number' });

/** Text compared byte by byte, as JavaScript does, whatever the database's own collation is. */
export const exactText = customType<{ data: string }>({ dataType: () => 'text COLLATE "C"' });

/** A point in time in whole milliseconds, a number in TypeScript. The session's time zone is always UTC. */
export const instant = customType<{ data: Instant; driverData: string }>({
  dataType: () => 'timestamp (3) with time zone',
  toDriver: (value) => new Date(value).toISOString(),
  fromDriver: (value) => Date.parse(`${value.replace(' ', 'T')}:00`),
});

export const bytes = customType<{ data: Buffer }>({ dataType: () => 'bytea' });
