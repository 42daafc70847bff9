/** Something about an installation that its operator should know. */
export interface Finding {
  /** A problem needs mending; a notice is worth knowing. */
  readonly severity: 'problem' | 'notice';
  /** What it is about, by name: a table, a role, a setting. */
  readonly subject: string;
  readonly cause: string;
  /** What to do about it, a command where there is one. */
  readonly fix: string;
}

/** A problem needs mending. */
export function problem(subject: string, cause: string, fix: string): Finding {
  return { severity: 'problem', subject, cause, fix };
}

/** A notice is worth knowing and changes no exit code. */
export function notice(subject: string, cause: string, fix: string): Finding {
  return { severity: 'notice', subject, cause, fix };
}
