import { readFile } from 'node:fs/promises';
import { Ajv2020 } from 'ajv/dist/2020.js';
import ajvFormats from 'ajv-formats';
import { pino } from 'pino';
import { buildServer } from '../../src/http/server.ts';
import { openTestRuntime } from '../support/runtime.ts';

export interface OpenApi {
  readonly openapi: string;
  readonly info: { readonly version: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

export interface Operation {
  readonly operationId: string;
  readonly summary?: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly security: readonly object[];
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly required?: boolean; readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>;
}

export interface OperationAt extends Operation {
  /** In capitals. */
  readonly method: string;
  /** With its parameters in braces. */
  readonly path: string;
}

export type Schema = Readonly<Record<string, unknown>>;

export interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly schema: Schema;
}

type Content = Readonly<Record<string, { readonly schema: Schema; readonly examples?: object }>>;

/** The OpenAPI document of this release, as the server makes it. Describing itself asks no database. */
export async function generateOpenApi(): Promise<OpenApi> {
  const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
  const runtime = await openTestRuntime('postgres://nobody@127.0.0.1:1/none');
  const logger = pino({ level: 'silent' });
  const app = await buildServer(runtime, { version, requestTimeoutMs: 1_000, logger });
  try {
    await app.ready();
    return app.swagger() as object as OpenApi;
  } finally {
    await app.close();
    await runtime.close();
  }
}

/** Every operation of a document with its place. */
export function operationsOf(document: OpenApi): readonly OperationAt[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      ...operation,
      method: method.toUpperCase(),
      path,
    })),
  );
}

/** The document with each of its schemas under a name of its own, and a strict validator that knows them by it. */
export function openContract(document: OpenApi): { readonly document: OpenApi; readonly ajv: Ajv2020 } {
  const named: OpenApi = JSON.parse(JSON.stringify(document).replaceAll('#/components/schemas/', 'schema:'));
  const ajv = new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true });
  ajvFormats.default(ajv);
  for (const [name, schema] of Object.entries(named.components.schemas))
    ajv.addSchema(schema, `schema:${name}`);
  return { document: named, ajv };
}

/** Every member anywhere in a value that is named like an internal key. */
export function internalKeysIn(value: unknown): readonly string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, member]) => [
    ...(/(^pk|Pk|_pk)$/.test(name) ? [name] : []),
    ...internalKeysIn(member),
  ]);
}
