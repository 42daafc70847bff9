/** The smallest thing that can be given and taken: one role, `keeper`, with one permission, `vault.open`. */
import type { Answer } from './over-http.ts';
import type { Replica } from './replicas.ts';

export const permission = 'vault.open';
export const role = 'keeper';

export interface Question {
  readonly user?: string;
  readonly freshness?: 'latest' | 'lease';
  readonly atLeast?: string;
}

/** What came of asking: the decision, or the failure that says nothing about it. */
export type Outcome = 'allowed' | 'denied' | number;

export async function buildVault(replica: Replica, users: readonly string[] = []): Promise<void> {
  await done(replica, 'POST', '/permissions', { permission });
  await done(replica, 'POST', '/roles', { key: role, name: 'Keeper' });
  await done(replica, 'PUT', `/roles/${role}/permissions/${permission}`);
  for (const id of users) await done(replica, 'POST', '/users', { id });
}

/** Makes a change that must succeed. Returns its revision. */
export async function done(
  replica: Replica,
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  url: string,
  payload?: object,
): Promise<string> {
  const { status, body } = await replica.request({ method, url, ...(payload ? { payload } : {}) });
  if (status >= 300) throw new Error(`${method} ${url}: ${status} ${JSON.stringify(body)}`);
  return (body as { revision: string }).revision;
}

export const grant = (replica: Replica, user: string) =>
  done(replica, 'PUT', `/users/${user}/roles/${role}`, {});
export const revoke = (replica: Replica, user: string) =>
  done(replica, 'DELETE', `/users/${user}/roles/${role}`);

export function ask(replica: Replica, question: Question, key?: string): Promise<Answer> {
  return replica.request({ method: 'POST', url: '/authorize', payload: { ...question, permission } }, key);
}

export async function outcome(replica: Replica, question: Question, key?: string): Promise<Outcome> {
  return outcomeOf(await ask(replica, question, key));
}

export function outcomeOf({ status, body }: Answer): Outcome {
  if (status !== 200) return status;
  return (body as { allowed: boolean }).allowed ? 'allowed' : 'denied';
}
