const shown = '[secret]';

/**
 * A value that must not reach a log, a message or an answer: however it is printed, it shows `[secret]`. Only `reveal`
 * gives it, at the place that needs it.
 */
export class Secret {
  readonly #value: string;

  constructor(value: string) {
    this.#value = value;
  }

  reveal(): string {
    return this.#value;
  }

  toString(): string {
    return shown;
  }

  toJSON(): string {
    return shown;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return shown;
  }
}

export const databaseForm = 'the PostgreSQL to use, as postgres://user:password@host:5432/database';
export const journalKeyForm = '32 to 256 characters; make one with `openssl rand -hex 32`';

/** Why this cannot be the database URL that a variable holds, without a word of it; undefined when it can. */
export function databaseUrlProblem(text: string, variable = 'DATABASE_URL'): string | undefined {
  if (!/^postgres(?:ql)?:\/\//i.test(text))
    return `${variable} must begin with postgres:// or postgresql://: Rolecall runs on PostgreSQL only`;
  if (!isReadable(text))
    return `${variable} is not a valid URL: ${databaseForm}, special characters percent-encoded`;
  // The driver would look for them before the `?` and send these to the server as settings.
  const [misplaced] = /(?<=[?&])(?:host|hostaddr|port|user|password|dbname)(?==)/i.exec(text) ?? [];
  if (misplaced !== undefined)
    return `${variable} must have its ${misplaced} before the "?": ${databaseForm}`;
  return undefined;
}

/** Why this cannot be the ROLECALL_JOURNAL_KEY, without a word of it; undefined when it can. */
export function journalKeyProblem(text: string): string | undefined {
  const { length } = [...text];
  if (length < 32 || length > 256) return `ROLECALL_JOURNAL_KEY must have ${journalKeyForm}`;
  if (/^(.)\1*$/su.test(text) || /^(?:change-me-?)+$/i.test(text))
    return `ROLECALL_JOURNAL_KEY can be guessed: ${journalKeyForm}`;
  return undefined;
}

// Asked here because the driver's own error would show the password. Of several hosts a URL can hold only the first.
function isReadable(text: string): boolean {
  try {
    const url = new URL(text.replace(/^([^/]*\/\/[^/?]*?),[^/?@]*(?=[/?]|$)/, '$1'));
    decodeURIComponent(`${url.username}${url.password}${url.host}`);
    return true;
  } catch {
    return false;
  }
}
