import { readFile } from 'node:fs/promises';
import { beforeAll, expect, test } from 'vitest';

import {
  generateOpenApi,
  internalKeysIn,
  type OpenApi,
  type OperationAt,
  openContract,
  operationsOf,
  type Schema,
} from './openapi-document.ts';

let document: OpenApi;
let operations: readonly OperationAt[];

beforeAll(async () => {
  document = await generateOpenApi();
  operations = operationsOf(document);
});

/** The operations that a rule does not hold for, by name. */
function breaking(rule: (operation: OperationAt) => boolean): string[] {
  return operations.filter((operation) => !rule(operation)).map(({ operationId }) => operationId);
}

const needsCredential = ({ security }: OperationAt) => security.length > 0;
const bodyOf = ({ requestBody }: OperationAt) => requestBody?.content['application/json']?.schema;

/** A schema and all that are in it. */
function within(schema: unknown): Schema[] {
  if (typeof schema !== 'object' || schema === null) return [];
  return [schema as Schema, ...Object.values(schema).flatMap(within)];
}

test('openapi.json is what the server says about itself', async () => {
  await expect(`${JSON.stringify(document, null, 2)}\n`).toMatchFileSnapshot('../../openapi.json');
});

test('it carries the version of the package', async () => {
  const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
  expect(document).toMatchObject({ openapi: '3.1.0', info: { version } });
});

test('every operation has a name of its own, a summary and a tag', () => {
  const names = operations.map(({ operationId }) => operationId);
  expect(names.filter((name) => !/^[a-z][A-Za-z]+$/.test(name))).toEqual([]);
  expect(new Set(names).size).toBe(names.length);
  expect(breaking(({ summary }) => (summary ?? '') !== '')).toEqual([]);
  expect(breaking(({ tags }) => tags?.length === 1)).toEqual([]);
});

test('every operation that needs a credential declares that it may be refused', () => {
  const common = ['400', '401', '403', '429', '503'];
  expect(
    breaking(
      (operation) => !needsCredential(operation) || common.every((code) => code in operation.responses),
    ),
  ).toEqual([]);
});

test('every refusal is described as a problem document, at every operation', () => {
  const bare = operations.flatMap(({ operationId, responses, security }) =>
    Object.entries(responses)
      .filter(([status]) => Number(status) >= 400 && security.length > 0)
      .filter(
        ([, { content }]) =>
          content?.['application/problem+json']?.schema['$ref'] !== '#/components/schemas/Problem',
      )
      .map(([status]) => `${operationId} ${status}`),
  );
  expect(bare).toEqual([]);
});

test('an operation that takes a body declares that it may be too large or not JSON', () => {
  expect(
    breaking(
      (operation) => !bodyOf(operation) || ['413', '415'].every((code) => code in operation.responses),
    ),
  ).toEqual([]);
});

test('every body has an example, and every example is valid', () => {
  const contract = openContract(document);
  const bodies = operationsOf(contract.document).flatMap(({ operationId, requestBody }) =>
    Object.values(requestBody?.content ?? {}).map(({ schema, examples = {} }) => {
      const whole = (contract.ajv.getSchema(String(schema['$ref']))?.schema ?? schema) as Schema;
      const beside = Object.values(examples).map(({ value }: { value: unknown }) => value);
      return { operationId, whole, examples: [...beside, ...((whole['examples'] as unknown[]) ?? [])] };
    }),
  );
  expect(
    bodies.filter(({ examples }) => examples.length === 0).map(({ operationId }) => operationId),
  ).toEqual([]);
  for (const { operationId, whole, examples } of bodies)
    for (const example of examples) expect(contract.ajv.validate(whole, example), operationId).toBe(true);
});

test('a body that may be left out is not declared as required', () => {
  const grantRole = operations.find(({ operationId }) => operationId === 'grantRole');
  expect(grantRole?.requestBody).not.toMatchObject({ required: true });
});

test('every schema is valid JSON Schema 2020-12, and so is its example', () => {
  const { ajv } = openContract(document);
  for (const [name, { examples }] of Object.entries(document.components.schemas)) {
    const validate = ajv.getSchema(`schema:${name}`);
    for (const example of (examples as unknown[] | undefined) ?? [])
      expect(validate?.(example), name).toBe(true);
    expect(validate, name).toBeTypeOf('function');
  }
});

test('every operation says which permission it needs, or needs none (invariant 8)', () => {
  const stating =
    /^Needs `rolecall_[a-z_]+`, (everywhere|in the scope of the query|in each scope that the body names|wherever)/;
  const unstated = operations
    .filter(needsCredential)
    .filter(({ description }) => !stating.test(description ?? ''));
  expect(unstated.map(({ operationId }) => operationId).sort()).toEqual([
    'getMyPermissions',
    'getMyScopes',
    'listenToEvents',
  ]);
});

test('no internal key and no id that is a number is anywhere (4.2)', () => {
  expect(internalKeysIn(document)).toEqual([]);
  const numbers = within(document).flatMap(({ properties }) =>
    Object.entries((properties as Record<string, Schema> | undefined) ?? {})
      .filter(([, schema]) => within(schema).some(({ type }) => ['integer', 'number'].includes(String(type))))
      .map(([name]) => name),
  );
  // The status of a problem, how many of something there are, and what a setting may be.
  expect([...new Set(numbers)].sort()).toEqual([
    'default',
    'exceptionsLeftOut',
    'gaining',
    'grantsRemoved',
    'holders',
    'least',
    'losing',
    'most',
    'nearestRolesLeftOut',
    'number',
    'otherPermissions',
    'overlapSeconds',
    'pathsLeftOut',
    'rows',
    'status',
    'times',
    'users',
    'usersLeftOut',
    'value',
    'values',
    'viaLeftOut',
  ]);
  const parameters = operations.flatMap((operation) => operation.parameters ?? []);
  expect(
    parameters.filter(({ schema }) => schema['type'] === 'integer' || schema['type'] === 'number'),
  ).toEqual([]);
});

test('every parameter of a path is declared, and every write can be tried without keeping it', () => {
  for (const { path, parameters = [], method, operationId, tags } of operations) {
    const inPath = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => `{${name}}`);
    expect(path.match(/\{\w+\}/g)?.sort() ?? [], operationId).toEqual(inPath.sort());
    // A plan is asked for with a body and writes nothing.
    const writes = method !== 'GET' && !tags?.includes('Checks') && operationId !== 'planMatrix';
    expect(
      parameters.some(({ name }) => name === 'dryRun'),
      operationId,
    ).toBe(writes);
  }
});
