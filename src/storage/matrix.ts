import type { LiveMatrix } from '../domain/matrix/diff.ts';
import type { MatrixLayer } from '../domain/matrix/document.ts';
import type { ReadHandle, Sql } from './database.ts';
import type { WriteHandle } from './transaction.ts';

/** Everything that the matrix may have to change, as it is; includes and edges of the API and tombstones left out. */
export async function readLiveMatrix({ sql }: ReadHandle): Promise<LiveMatrix> {
  const [row] = await sql<[LiveMatrix]>`
    select
      (select coalesce(json_agg(json_build_object('resource', resource, 'action', action, 'slug', slug,
          'description', description, 'declaredIn', declared_in, 'retired', retired_at is not null)), '[]')
        from rolecall.permissions) as permissions,
      (select coalesce(json_agg(json_build_object('key', key, 'name', name, 'description', description,
          'isSystem', is_system, 'declaredIn', declared_in)), '[]') from rolecall.roles) as roles,
      (select coalesce(json_agg(json_build_object('role', holder.key, 'included', included.key, 'origin', origin)), '[]')
        from rolecall.role_includes join rolecall.roles as holder on holder.pk = role_pk
        join rolecall.roles as included on included.pk = included_pk
        where origin <> 'api' and not withheld) as includes,
      (select coalesce(json_agg(json_build_object('role', key, 'permission', slug, 'origin', origin)), '[]')
        from rolecall.role_permissions join rolecall.roles on roles.pk = role_pk
        join rolecall.permissions on permissions.pk = permission_pk
        where origin <> 'api' and not withheld) as edges`;
  return row;
}

/** The hash of each layer as last applied. */
export async function readLayerHashes(sql: Sql): Promise<ReadonlyMap<string, string>> {
  const rows = await sql<{ id: string; hash: string }[]>`
    select id, content_hash as hash from rolecall.matrix_layers`;
  return new Map(rows.map((row) => [row.id, row.hash]));
}

/** Keeps the layers as they were applied, whole, in their order; layers that are gone are forgotten. */
export async function replaceLayers({ sql }: WriteHandle, layers: readonly MatrixLayer[]): Promise<void> {
  const rows = layers.map(({ id, contentHash, permissions, roles }, position) => ({
    id,
    position,
    content_hash: contentHash,
    content: { permissions, roles },
  }));
  await sql`delete from rolecall.matrix_layers`;
  await sql`
    insert into rolecall.matrix_layers (id, position, content_hash, content, applied_at_revision)
    select id, position, content_hash, content, (select value + 1 from rolecall.revision)
    from jsonb_to_recordset(${JSON.stringify(rows)}::text::jsonb)
      as row (id text, position int, content_hash text, content jsonb)`;
}
