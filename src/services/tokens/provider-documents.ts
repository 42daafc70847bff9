import { RolecallError } from '../../domain/errors.ts';

/** Larger documents are no keys of anybody. */
const mostBytes = 262_144;

export interface KeyPlace {
  readonly issuer: string;
  /** Where the keys are; null to ask the provider's discovery document. */
  readonly jwksUrl: string | null;
}

/** The URL of a provider's keys. Throws `unavailable` if the provider does not say it. */
export async function findJwksUrl({ issuer, jwksUrl }: KeyPlace, timeoutMs: number): Promise<string> {
  if (jwksUrl !== null) return jwksUrl;
  const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  const said = (await fetchDocument(url, timeoutMs)) as { issuer?: unknown; jwks_uri?: unknown };
  if (said.issuer !== issuer) throw notHad(issuer, 'its discovery document is that of another issuer');
  const found = said.jwks_uri;
  if (typeof found !== 'string' || !URL.canParse(found) || !isAsSafe(new URL(found), new URL(issuer)))
    throw notHad(issuer, 'its discovery document names no safe jwks_uri');
  return found;
}

/**
 * A JSON object from a provider, within a time and a size, from exactly this address: no redirect is followed. Throws
 * `unavailable`.
 */
export async function fetchDocument(url: string, timeoutMs: number): Promise<object> {
  try {
    const response = await fetch(url, {
      redirect: 'error',
      // Minutes lie between two fetches: a connection that is kept is one that was closed meanwhile.
      headers: { accept: 'application/json', connection: 'close' },
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (response.status !== 200) throw new Error(`it answered ${response.status}`);
    const document: unknown = JSON.parse(await textOf(response));
    if (typeof document === 'object' && document !== null) return document;
    throw new Error('it answered no object');
  } catch (error) {
    throw notHad(url, 'the document could not be had', error);
  }
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength;
    if (bytes > mostBytes) throw new Error(`it answered more than ${mostBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/** TLS, unless the provider itself is on this machine without it. */
function isAsSafe(found: URL, issuer: URL): boolean {
  return found.protocol === 'https:' || (issuer.protocol === 'http:' && found.hostname === issuer.hostname);
}

/** Nobody decided anything about the token: its provider, or the way there, does not work. */
export function notHad(whose: string, why: string, cause?: unknown): RolecallError {
  return new RolecallError('unavailable', `the keys of ${whose} are not to be had: ${why}`, {
    retryAfter: 5,
    cause,
  });
}
