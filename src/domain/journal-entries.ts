import { createHash, createHmac } from 'node:crypto';

/** What can happen to access. The prefix says what the entry is about. */
export type JournalKind =
  | `user_${'created' | 'updated' | 'deleted' | 'erased'}`
  | `identity_${'linked' | 'unlinked'}`
  | `grant_${'set' | 'removed'}`
  | `exception_${'set' | 'removed'}`
  | `role_${'created' | 'updated' | 'deleted'}`
  | `include_${'set' | 'removed'}`
  | `edge_${'set' | 'removed'}`
  | `permission_${'registered' | 'updated' | 'retired'}`
  | `key_${'created' | 'revoked' | 'rotated'}`
  | `layer_${'applied' | 'removed'}`
  | 'setting_changed'
  | 'personal_purged'
  | `mapping_${'created' | 'removed'}`
  | 'epoch_began'
  | 'schema_changed';

const catalogueKinds = /^(role|include|edge|permission|layer|schema)_/;

/**
 * Whether an entry changes what roles mean, and so moves the catalogue revision; grants and users do not. A migration
 * may change anything: it moves it too, so that no cache outlives it.
 */
export function changesCatalogue(kind: JournalKind): boolean {
  return catalogueKinds.test(kind);
}

/** Whether nothing that was known before an entry may be relied upon after it. */
export function changesEverything(kind: JournalKind): boolean {
  return kind === 'schema_changed';
}

export type Json = null | boolean | number | string | readonly Json[] | { readonly [member: string]: Json };

/** One change, before it has a place in the record. People are named by internal key; see `personal`. */
export interface JournalEntry {
  readonly kind: JournalKind;
  readonly userPk?: number;
  readonly rolePk?: number;
  readonly permissionPk?: number;
  readonly before?: Json;
  readonly after?: Json;
  /** Values that may have to be erased later: ids of people, e-mail addresses, free text. */
  readonly personal?: Readonly<Record<string, string>>;
}

/** Who changed something: a user through a credential, or the operator of the database on the command line. */
export type Actor =
  | {
      readonly kind: 'user';
      readonly userPk: number;
      /** An API key, or, below zero, an identity that a token proved. */
      readonly credentialPk: number;
      /** Whose credential it was, where its owner acted for the user. */
      readonly throughPk: number | null;
    }
  | { readonly kind: 'operator' }
  /** The service itself, noting what it found. */
  | { readonly kind: 'service' };

/** What the HMAC of a row covers, besides the row before it. */
export interface SealedContent {
  readonly revision: number;
  readonly number: number;
  /** UTC with microseconds, as the database printed it. */
  readonly time: string;
  readonly kind: string;
  readonly actorKind: string;
  readonly actorPk: number | null;
  readonly credentialPk: number | null;
  /** Whose credential it was, where its owner acted for the actor. */
  readonly throughPk: number | null;
  readonly requestId: string | null;
  readonly userPk: number | null;
  readonly rolePk: number | null;
  readonly permissionPk: number | null;
  readonly before: Json;
  readonly after: Json;
  readonly digests: Readonly<Record<string, string>>;
}

/** Chains one row to the row before it. */
export function sealEntry(key: string, previous: Buffer, content: SealedContent): Buffer {
  const { throughPk, ...always } = content;
  // Rows that were sealed before anybody could act for somebody lack the member.
  const sealed = throughPk === null ? always : { ...always, throughPk };
  return createHmac('sha256', key).update(previous).update(canonicalJson(sealed)).digest();
}

/** Stands in the sealed row for a personal value, so that erasing the value breaks no link. */
export function digestPersonal(salt: Buffer, value: string): string {
  return createHash('sha256').update(salt).update(value, 'utf8').digest('hex');
}

/** One text for one value: members sorted bytewise, no spaces. */
export function canonicalJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`).join(',')}}`;
}

/** When what an entry tells of begins and ends. */
const termTimes = ['startsAt', 'expiresAt'];

/** What an entry says of before or after, as it is shown: times as RFC 3339 has them, where milliseconds are sealed. */
export function shownTerms(terms: Json): Json {
  if (terms === null || typeof terms !== 'object' || Array.isArray(terms)) return terms;
  const shown: Record<string, Json> = { ...(terms as Readonly<Record<string, Json>>) };
  for (const name of termTimes) {
    const time = new Date(typeof shown[name] === 'number' ? shown[name] : Number.NaN);
    // What is no time stays as it is: an entry that was altered is shown too.
    if (!Number.isNaN(time.getTime())) shown[name] = time.toISOString();
  }
  return shown;
}
