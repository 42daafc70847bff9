import { randomBytes } from 'node:crypto';

/** No two processes have the same. */
const processName = randomBytes(9).toString('base64url');
let requestsNamed = 0;

/** An id that no other request has, of any process. Counted, for a random one costs as much as verifying a key. */
export function newRequestId(): string {
  requestsNamed += 1;
  return `${processName}-${requestsNamed}`;
}

/** The caller's `X-Request-Id` if it is 1-128 safe characters, otherwise a new one. */
export function requestIdOf(header: string | string[] | undefined): string {
  const given = typeof header === 'string' && /^[A-Za-z0-9._~:@/+=-]{1,128}$/.test(header);
  return given ? header : newRequestId();
}
