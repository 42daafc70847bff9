import { RolecallError } from '../domain/errors.ts';
import type { Finding } from '../domain/findings.ts';
import { count, print, printJson } from './output.ts';

/** Prints what was found, each with its cause and what to do. Throws `not_ready` if anything of it is a problem. */
export function report(findings: readonly Finding[], json: boolean | undefined): void {
  const problems = findings.filter(({ severity }) => severity === 'problem');
  if (json) printJson({ ok: problems.length === 0, findings });
  else if (findings.length === 0) print('Nothing to mend.');
  else
    for (const { severity, subject, cause, fix } of findings)
      print(`${severity}: ${subject}\n  cause  ${cause}\n  fix    ${fix}`);
  if (problems.length > 0)
    throw new RolecallError('not_ready', `${count(problems.length, 'problem')} to mend`);
}
