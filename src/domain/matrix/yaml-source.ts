import { Composer, CST, Lexer, type LineCounter, type ParsedNode, Parser } from 'yaml';
import type { FaultList } from './faults.ts';

/** The parser's own stack: about three entries for each level, and a matrix has four levels. */
const deepestStack = 40;

const refusedFeatures: Readonly<Record<string, string>> = {
  anchor: 'anchors are not accepted, write the value out where it is used',
  alias: 'aliases are not accepted, write the value out',
  tag: 'tags are not accepted, write the value without one',
  'directive-line': 'directives are not accepted',
};

const composing = {
  version: '1.2',
  schema: 'core',
  merge: false,
  resolveKnownTags: false,
  // Duplicates are found later, with both places, and without comparing every key to every other.
  uniqueKeys: false,
} as const;

/**
 * Reads the one YAML document of a file. Anchors, aliases, tags and directives are noted as faults and reading goes on.
 * If the text is not YAML, is empty or has several documents, throws `matrix_invalid` at once, because nothing said
 * about the rest would be reliable.
 */
export function readYaml(text: string, lines: LineCounter, faults: FaultList): ParsedNode {
  const tokens = readTokens(text, lines, faults);
  const [document, second] = new Composer(composing).compose(tokens, true, text.length);

  // A tag that cannot be resolved has already been refused as a tag.
  const errors = (document?.errors ?? []).filter(({ code }) => code !== 'TAG_RESOLVE_FAILED');
  for (const { pos, message } of errors) faults.add(pos[0], 'yaml_syntax', `not YAML: ${oneLine(message)}`);
  if (errors.length > 0) faults.throwIfAny();

  if (second?.contents)
    faults.stop(
      second.contents.range[0],
      'yaml_syntax',
      'a second document begins, a matrix is one document',
    );

  const root = document?.contents;
  return root && root.range[0] < root.range[1]
    ? root
    : faults.stop(0, 'empty_file', 'the file is empty, a matrix has "version", "permissions" and "roles"');
}

/**
 * Feeds the parser token by token, to see features where they stand and to stop before nesting gets deep: all that
 * follows recurses, and the text must not choose how far.
 */
function readTokens(text: string, lines: LineCounter, faults: FaultList): CST.Token[] {
  lines.addNewLine(0);
  const parser = new Parser(lines.addNewLine);
  const tokens: CST.Token[] = [];
  let inScalar = false;
  for (const lexeme of new Lexer().lex(text)) {
    const refusal = inScalar ? undefined : refusedFeatures[CST.tokenType(lexeme) ?? ''];
    if (refusal !== undefined) faults.add(parser.offset, 'yaml_feature', refusal);
    inScalar = lexeme === CST.SCALAR;
    tokens.push(...parser.next(lexeme));
    if (parser.stack.length > deepestStack)
      faults.stop(parser.offset, 'yaml_syntax', 'nested too deeply, a matrix has four levels');
  }
  tokens.push(...parser.end());
  return tokens;
}

function oneLine(message: string): string {
  return message.replaceAll(/\s+/g, ' ').slice(0, 200);
}
