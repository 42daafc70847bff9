import { createHash } from 'node:crypto';
import type { MatrixLayer } from './document.ts';
import { mergeLayers } from './layers.ts';

/**
 * What the layers declare, as a TypeScript module: every slug and every role as a union, and a hash that changes with
 * anything that they say. The same layers give the same bytes, on every machine and at any time.
 */
export function renderTypeScript(layers: readonly MatrixLayer[]): string {
  const { permissions, roles } = mergeLayers(layers);
  const hash = createHash('sha256')
    .update(JSON.stringify(layers.map(({ id, contentHash }) => [id, contentHash])))
    .digest('hex');
  return `// Made by \`rolecall matrix codegen\` from the matrix. Do not edit: change the matrix, and make it anew.

/** Tells this matrix from every other: it changes with anything that a layer says. */
export const matrixHash = '${hash}';

/** Every permission that the matrix declares, as it goes out. */
export const permissions = ${listOf(permissions.keys())} as const;

export type Permission = (typeof permissions)[number];

/** Every role that the matrix declares, by its key. */
export const roles = ${listOf(roles.keys())} as const;

export type Role = (typeof roles)[number];
`;
}

/** Names hold nothing that a quoted text would have to escape. */
function listOf(names: Iterable<string>): string {
  const lines = [...names].sort().map((name) => `  '${name}',\n`);
  return lines.length === 0 ? '[]' : `[\n${lines.join('')}]`;
}
