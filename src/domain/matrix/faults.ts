import type { LineCounter } from 'yaml';
import { type InputFault, RolecallError } from '../errors.ts';
import { didYouMean, nearestNames } from '../suggestions.ts';

export type MatrixFaultCode =
  | 'yaml_syntax'
  | 'yaml_feature'
  | 'empty_file'
  | 'wrong_type'
  | 'empty_text'
  | 'unsupported_version'
  | 'missing_member'
  | 'unknown_member'
  | 'malformed_name'
  | 'duplicate'
  | 'reserved_resource'
  | 'slug_collision'
  | 'unknown_permission'
  | 'unmatched_wildcard'
  | 'unknown_role'
  | 'include_cycle'
  | 'unknown_layer'
  | 'layer_cycle'
  | 'contradiction';

interface Fault {
  readonly at: number;
  readonly code: MatrixFaultCode;
  readonly detail: string;
}

/** Looking for near names costs (unknown names) x (known names); a hostile file could have very many of both. */
const mostFaultsWithSuggestions = 30;
const longestQuote = 120;

/** Gathers what is wrong with one file, so that its author sees everything at once and where it stands. */
export class FaultList {
  readonly #fileName: string;
  readonly #lines: LineCounter;
  readonly #faults: Fault[] = [];

  constructor(fileName: string, lines: LineCounter) {
    this.#fileName = fileName;
    this.#lines = lines;
  }

  /** `at` is the offset in the text of what is wrong. */
  add(at: number, code: MatrixFaultCode, detail: string): void {
    this.#faults.push({ at, code, detail });
  }

  /** A name that is not among the known ones; `detail` is completed with the nearest of them. */
  addUnknown(
    at: number,
    code: MatrixFaultCode,
    detail: string,
    wanted: string,
    known: Iterable<string>,
  ): void {
    const near = this.#faults.length < mostFaultsWithSuggestions ? nearestNames(wanted, known) : [];
    this.add(at, code, detail + didYouMean(near));
  }

  /** Adds a fault after which the rest cannot be read, and throws as `throwIfAny` does. */
  stop(at: number, code: MatrixFaultCode, detail: string): never {
    this.add(at, code, detail);
    refuseFaults(this.found());
    throw new Error('a fault was added and not found');
  }

  /** `file:line:column`, counted from 1. */
  place(at: number): string {
    const { line, col } = this.#lines.linePos(at);
    return `${this.#fileName}:${line}:${col}`;
  }

  /** Throws `matrix_invalid` with every fault in the order of the text; returns if there is none. */
  throwIfAny(): void {
    refuseFaults(this.found());
  }

  /** Every fault in the order of the text. */
  found(): readonly InputFault[] {
    return this.#faults
      .toSorted((a, b) => a.at - b.at)
      .map(({ at, code, detail }) => ({ pointer: this.place(at), code, detail }));
  }
}

/** Throws `matrix_invalid` with these faults, one line each; returns if there is none. */
export function refuseFaults(errors: readonly InputFault[]): void {
  if (errors.length === 0) return;
  const message = errors.map(({ pointer, detail }) => `${pointer} ${detail}`).join('\n');
  throw new RolecallError('matrix_invalid', message, { errors });
}

/** What the file says, fit for one line of a message. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > longestQuote ? `${text.slice(0, longestQuote)}…` : text);
}
