import { readFileSync } from 'node:fs';
import type { Response } from 'supertest';
import { expect } from 'vitest';
import { internalKeysIn, openContract, operationsOf, type Schema } from '../contract/openapi-document.ts';
import { filesWithLayer } from './matrix-files.ts';

/** The document by which clients are written, as it is committed; `test/contract/openapi.test.ts` keeps it current. */
const { document, ajv } = openContract(
  JSON.parse(readFileSync(new URL('../../openapi.json', import.meta.url), 'utf8')),
);

export const operations = operationsOf(document);

/** Those whose answers end: all but streams of events, which are held to their own tests. */
export const endingOperations = operations.filter(
  ({ responses }) => !('text/event-stream' in (responses['200']?.content ?? {})),
);

const [shippedMatrix] = filesWithLayer;

/** A body that is good for each operation that takes one, by its name; it names nobody who is there. */
export const goodBodies: Readonly<Record<string, object>> = {
  authorize: { user: 'nobody-at-all', permission: 'orders.view_order' },
  authorizeBatch: { user: 'nobody-at-all', checks: [{ permission: 'orders.view_order' }] },
  grantRole: {},
  replaceUserRoles: { grants: [] },
  changeGrants: { mode: 'each', changes: [{ op: 'revoke', user: 'nobody-at-all', role: 'loader' }] },
  setException: { effect: 'deny' },
  createUser: { id: 'somebody-new' },
  updateUser: { active: false },
  linkIdentity: { issuer: 'idp', subject: 'x' },
  unlinkIdentity: { issuer: 'idp', subject: 'x' },
  createRole: { key: 'new-role', name: 'New' },
  updateRole: { name: 'New' },
  replaceRolePermissions: { permissions: [] },
  registerPermission: { permission: 'brand.new' },
  registerPermissions: { permissions: [{ permission: 'brand.new' }] },
  describePermission: { description: 'New' },
  changeSetting: { value: 1 },
  createMapping: { issuer: 'https://idp', claim: ['x'], value: 'x', role: 'no-such-role' },
  planMatrix: { files: [shippedMatrix] },
  applyMatrix: { files: [shippedMatrix] },
  createKey: { user: 'nobody-at-all', name: 'New', permissions: ['rolecall_manage_keys'] },
};

/** What each operation must be asked with, by its name. */
export const goodQueries: Readonly<Record<string, object>> = {
  explainDecision: { permission: 'orders.view_order' },
};

/** What of an answer is looked at, however it was got. */
export type Answer = Pick<Response, 'status' | 'headers' | 'body' | 'text'>;

const problemType = 'application/problem+json';
const problemSchema = { $ref: 'schema:Problem' };

/**
 * Holds a live answer to `openapi.json`: the operation is there, the status and the content type are declared, the body
 * is what its schema says and nothing more, a problem is a whole problem, and no internal key is in it.
 */
export function expectContract(response: Answer, method: string, pathTemplate: string): void {
  const where = `${method} ${pathTemplate} answered ${response.status}`;
  const operation = document.paths[pathTemplate]?.[method.toLowerCase()];
  expect(operation, `${where}: there is no such operation`).toBeDefined();
  const declared = operation?.responses[String(response.status)];
  expect(declared, `${where}: the status is not declared: ${response.text}`).toBeDefined();
  if (!declared?.content) {
    expect(response.text ?? '', `${where}: the body is not declared`).toBe('');
    return;
  }
  const type = typeOf(response);
  const { schema } = declared.content[type] ?? {};
  expect(schema, `${where}: the content type ${type} is not declared`).toBeDefined();
  expectValid(response, schema as Schema, where);
  if (type === problemType) expectProblem(response);
  expect(internalKeysIn(response.body), `${where}: internal keys`).toEqual([]);
}

/** Whatever was asked: a whole problem document that says the same as its status line, with the headers it needs. */
export function expectProblem(response: Answer): void {
  expect(typeOf(response)).toBe(problemType);
  expectValid(response, problemSchema, 'a problem');
  const { code, status, type, requestId, title, detail } = response.body;
  expect({ type, status, requestId }).toEqual({
    type: `urn:rolecall:problem:${code}`,
    status: response.status,
    requestId: response.headers['x-request-id'],
  });
  expect([title, detail]).not.toContain('');
  if (status === 401) expect(response.headers['www-authenticate']).toMatch(/^Bearer /);
  if (status === 503 || status === 429) expect(response.headers['retry-after']).toMatch(/^\d+$/);
}

/** What a schema is, or what it refers to by name. */
export function resolved(schema: Schema): Schema {
  const name = /^schema:(.+)$/.exec(String(schema['$ref']))?.[1];
  return name === undefined ? schema : (document.components.schemas[name] as Schema);
}

function typeOf(response: Answer): string {
  return String(response.headers['content-type'] ?? '').replace(/;.*$/, '');
}

function expectValid(response: Answer, schema: Schema, where: string): void {
  const validate = ajv.compile(schema);
  const said = typeOf(response) === 'text/plain' ? response.text : response.body;
  if (!validate(said)) expect(validate.errors, `${where} with ${response.text}`).toEqual([]);
}
