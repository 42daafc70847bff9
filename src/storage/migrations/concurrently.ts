import { RolecallError } from '../../domain/errors.ts';
import type { CatalogObject } from './catalog.ts';
import { describeCatalog } from './catalog.ts';
import { runFile } from './running.ts';
import { connected, onSnapshot, type RunOptions, type Transaction } from './session.ts';
import { splitStatements } from './statements.ts';

const building = /^create (?:unique )?index concurrently (?<index>\w+) on rolecall\.(?<table>\w+)\b/;
const dropping = /^drop index concurrently rolecall\.(?<index>\w+)$/;

/** Well within the minute after which the server ends a session that idles in its transaction. */
const keepAliveMs = 20_000;

/**
 * Runs a file that says to run outside a transaction: one concurrent build or removal of an index, on a connection of its
 * own. `holder` is the transaction that holds the migration lock: it reads nothing meanwhile, because a snapshot would stall
 * the build. May be run again after a crash at any point: an invalid index is removed and built anew, one that is whole is
 * taken if it is what the step's catalog promises, and one that is gone already is gone. Throws `migration_refused`.
 */
export async function buildConcurrently(
  holder: Transaction,
  options: RunOptions,
  file: string,
  text: string,
  promised: readonly CatalogObject[] | null,
): Promise<void> {
  const [statement, another] = splitStatements(text);
  const index = (building.exec(statement?.words ?? '') ?? dropping.exec(statement?.words ?? ''))?.groups?.[
    'index'
  ];
  if (!index || another)
    throw new RolecallError(
      'migration_refused',
      `${file} runs outside a transaction, so it must be exactly one CREATE INDEX CONCURRENTLY name ON rolecall.table or DROP INDEX CONCURRENTLY rolecall.name`,
    );
  // A query of the extended protocol keeps its snapshot until the next one; a simple one lets go of both.
  const letGo = () => holder.unsafe('select 1').simple();
  await letGo();
  const alive = setInterval(() => void letGo().catch(() => {}), keepAliveMs);
  try {
    await connected(options, async (sql) => {
      const remove = () => sql.unsafe(`drop index concurrently if exists rolecall.${index}`);
      const found = (await onSnapshot(sql, describeCatalog)).find(
        ({ name }) => name.startsWith('index ') && name.endsWith(`.${index}`),
      );
      const isInvalid = found?.definition.endsWith(' invalid') ?? false;
      if (dropping.test(statement?.words ?? '')) {
        if (found) await runFile(sql, file, text);
        return;
      }
      if (
        found &&
        !isInvalid &&
        promised?.some(({ name, definition }) => name === found.name && definition === found.definition)
      )
        return;
      if (isInvalid) {
        options.onProgress?.(`removing ${index}, which an earlier attempt left invalid`);
        await remove();
      }
      try {
        await runFile(sql, file, text);
      } catch (error) {
        // What failed half-way is invalid, and would still refuse rows if it is unique. Somebody else's index stays.
        if (error instanceof RolecallError && (!found || isInvalid)) await remove().catch(() => {});
        throw error;
      }
    });
  } catch (error) {
    // The holder's own connection stands: told as lost, it would be waited for in vain.
    if (error instanceof RolecallError && error.code === 'unavailable')
      throw new RolecallError('unavailable', error.message);
    throw error;
  } finally {
    clearInterval(alive);
  }
}
