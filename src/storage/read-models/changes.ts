import type { CatalogueRows } from '../../domain/decision/catalogue.ts';
import type { PermissionSlug, RoleKey } from '../../domain/ids.ts';
import type { JournalKind } from '../../domain/journal-entries.ts';
import type { Epoch, Revision } from '../../domain/revisions.ts';
import { type SettingValues, type StoredSettings, settingValues } from '../../domain/settings.ts';
import type { Sql } from '../database.ts';

/** What is known already: everything up to a revision, with the catalogue of another. */
export interface Known {
  readonly revision: Revision;
  readonly catalogueValue: number;
}

/** What a change means to somebody who keeps a copy of what decides. */
export interface Change {
  readonly revision: number;
  readonly kind: JournalKind;
  readonly userPk: number | null;
}

/** What happened after what is known, up to `revision`, on one snapshot. */
export interface Changes {
  readonly revision: Revision;
  readonly epochs: readonly Epoch[];
  readonly catalogueValue: number;
  readonly settings: SettingValues;
  /** Null when they are of another epoch, or too many to tell: nothing that is known may be kept. */
  readonly changes: readonly Change[] | null;
  /** Null when the known one stands. */
  readonly catalogue: CatalogueRows | null;
}

/** More than this many changes are not told one by one. */
const mostChanges = 5_000;

const nothingKnown: Known = { revision: { epoch: '', value: -1 }, catalogueValue: -1 };

interface Row extends Omit<Changes, 'catalogue' | 'settings'> {
  readonly settings: StoredSettings;
  readonly catalogue: {
    readonly permissions: readonly [pk: number, slug: PermissionSlug][];
    readonly roles: readonly [pk: number, key: RoleKey][];
    readonly includes: readonly [rolePk: number, includedPk: number, withheld: boolean][];
    readonly edges: readonly [rolePk: number, permissionPk: number, withheld: boolean][];
  } | null;
}

/** Reads what to change in a copy that knows `known`, all in one statement: the journal's rows, and a new catalogue. */
export async function loadChanges(sql: Sql, known: Known = nothingKnown): Promise<Changes> {
  const { revision, catalogueValue } = known;
  const [row] = await sql<[Row]>`
    with head as materialized (select epoch, value, catalogue_value from rolecall.revision),
    newer as (
      select revision, number, kind, user_pk from rolecall.journal
      where revision > ${revision.value} and revision <= (select value from head where epoch = ${revision.epoch})
      order by revision, number limit ${mostChanges + 1}
    )
    select json_build_object('epoch', epoch, 'value', value) as revision,
      catalogue_value::float8 as "catalogueValue",
      (select json_agg(json_build_object('id', id, 'beganAt', began_at_revision) order by began_at_revision, began_at)
        from rolecall.epochs) as epochs,
      (select coalesce(json_object_agg(key, value), '{}') from rolecall.settings) as settings,
      case when epoch = ${revision.epoch} and (select count(*) from newer) <= ${mostChanges} then
        (select coalesce(json_agg(json_build_object('revision', newer.revision, 'kind', kind, 'userPk', user_pk)
          order by newer.revision, number), '[]') from newer) end as changes,
      case when epoch <> ${revision.epoch} or catalogue_value > ${catalogueValue} then json_build_object(
        'permissions', (select coalesce(json_agg(json_build_array(pk, slug)), '[]')
          from rolecall.permissions where retired_at is null),
        'roles', (select coalesce(json_agg(json_build_array(pk, key)), '[]') from rolecall.roles),
        'includes', (select coalesce(json_agg(json_build_array(role_pk, included_pk, withheld)), '[]')
          from rolecall.role_includes),
        'edges', (select coalesce(json_agg(json_build_array(role_pk, permission_pk, withheld)), '[]')
          from rolecall.role_permissions)) end as catalogue
    from head`;
  return {
    ...row,
    settings: settingValues(row.settings),
    catalogue: row.catalogue && namedRows(row.catalogue),
  };
}

/** Names come once each and edges by number: of a large catalogue that is a tenth of the text. */
function namedRows(rows: NonNullable<Row['catalogue']>): CatalogueRows {
  const slugs = new Map(rows.permissions);
  const roles = new Map(rows.roles);
  const role = (pk: number) => roles.get(pk) as RoleKey;
  return {
    registered: slugs.values(),
    includes: rows.includes.map(([holder, included, withheld]) => ({
      role: role(holder),
      included: role(included),
      withheld,
    })),
    edges: rows.edges.flatMap(([holder, permission, withheld]) => {
      const slug = slugs.get(permission);
      return slug === undefined ? [] : [{ role: role(holder), permission: slug, withheld }];
    }),
  };
}
