import type { OperationAt, Schema } from '../../contract/openapi-document.ts';
import { resolved } from '../contract.ts';

/** A place in a request body that its schema describes; no steps are the body itself. */
export interface Field {
  readonly steps: readonly string[];
  readonly schema: Schema;
}

/** The schema of an operation's body, if it takes one. */
export function bodyOf({ requestBody }: OperationAt): Schema | undefined {
  const schema = requestBody?.content['application/json']?.schema;
  return schema && resolved(schema);
}

/** Every place in a body below its root, those in lists by their first entry. */
export function fieldsOf(schema: Schema, steps: readonly string[] = []): readonly Field[] {
  const whole = resolved(schema);
  const branches = ['anyOf', 'oneOf', 'allOf'].flatMap((name) => (whole[name] as Schema[] | undefined) ?? []);
  const members = Object.entries((whole['properties'] as Record<string, Schema> | undefined) ?? {});
  const items = whole['items'] as Schema | undefined;
  const children: (readonly [string, Schema])[] = items ? [...members, ['0', items]] : members;
  return [
    ...children.flatMap(([name, child]) => {
      const at = [...steps, name];
      return [{ steps: at, schema: resolved(child) }, ...fieldsOf(child, at)];
    }),
    ...branches.flatMap((branch) => fieldsOf(branch, steps)),
  ];
}

/** A body that is good: the example which every documented body has. */
export function goodBody(operation: OperationAt): unknown {
  const schema = bodyOf(operation);
  const beside = Object.values(operation.requestBody?.content['application/json']?.examples ?? {});
  return [...((schema?.['examples'] as unknown[] | undefined) ?? []), ...beside.map(({ value }) => value)][0];
}

const hole = '\u{10ffff}hole';

/**
 * A body as JSON text with one place of it replaced by what `write` makes of the member's name, in quotes and with its
 * colon, or of nothing in a list. Containers on the way that the body lacks are made.
 */
export function bodyWith(body: unknown, steps: readonly string[], write: (name: string) => string): string {
  const { whole, around, last } = openAt(body, steps);
  around[last] = hole;
  const name = Array.isArray(around) ? '' : `${JSON.stringify(last)}:`;
  return JSON.stringify(whole)
    .split(`${name}${JSON.stringify(hole)}`)
    .join(write(name));
}

/** The same body without that place. */
export function bodyWithout(body: unknown, steps: readonly string[]): string {
  const { whole, around, last } = openAt(body, steps);
  if (Array.isArray(around)) around.splice(Number(last), 1);
  else delete around[last];
  return JSON.stringify(whole);
}

type Members = Record<string, unknown>;

function openAt(body: unknown, steps: readonly string[]): { whole: Members; around: Members; last: string } {
  const whole = structuredClone(body ?? {}) as Members;
  let around = whole;
  for (const [depth, step] of steps.slice(0, -1).entries()) {
    if (typeof around[step] !== 'object' || around[step] === null)
      around[step] = steps[depth + 1] === '0' ? [] : {};
    around = around[step] as Members;
  }
  return { whole, around, last: steps.at(-1) as string };
}
