import { RolecallError } from '../../domain/errors.ts';
import type { Sql } from '../database.ts';
import { splitStatements, transactionControl } from './statements.ts';
import { explainFailure } from './troubleshooting.ts';

/**
 * Runs a file statement by statement in the caller's transaction. Throws `migration_refused` with cause, place and the
 * next command when one fails, or when one would end the transaction that it shares with its ledger row.
 */
export async function runFile(sql: Sql, file: string, text: string): Promise<void> {
  const statements = splitStatements(text);
  for (const statement of statements) {
    const control = transactionControl(statement);
    if (control)
      throw new RolecallError(
        'migration_refused',
        `${file} must not say "${control}" (line ${statement.line}): a step and its ledger row are one transaction`,
      );
  }
  for (const statement of statements) {
    try {
      await sql.unsafe(statement.text).simple();
    } catch (error) {
      throw explainFailure(error, file, statement);
    }
  }
}
