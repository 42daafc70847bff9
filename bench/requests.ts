import { type Question, questionOf, type Size } from './data.ts';
import type { World } from './stage.ts';

export type Freshness = 'latest' | 'lease';

/** The users whom all questions but the cold ones are about. */
export const hotUsers = 1_000;

/** A request as it goes over the wire. */
export function request(method: string, path: string, key: string, body?: object, headers = ''): string {
  const head = `${method} ${path} HTTP/1.1\r\nhost: rolecall\r\nauthorization: Bearer ${key}\r\n${headers}`;
  if (body === undefined) return `${head}\r\n`;
  const text = JSON.stringify(body);
  return `${head}content-type: application/json\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`;
}

export function hotQuestions(size: Size, count = hotUsers): readonly Question[] {
  return Array.from({ length: count }, (_, n) =>
    questionOf(n % hotUsers, Math.floor(n / hotUsers) + n, size),
  );
}

export function authorizeRequest(key: string, question: Question, freshness: Freshness): string {
  const { user, permission, scope } = question;
  return request('POST', '/authorize', key, { user, permission, scope, freshness });
}

/** `/authorize` about the hot users. */
export function hotRequests({ size, askingKey }: World, freshness: Freshness): readonly string[] {
  return hotQuestions(size).map((question) => authorizeRequest(askingKey, question, freshness));
}

/** Throws unless the service answers these questions as the data say: what answers wrongly need not be measured. */
export async function requireRightAnswers(
  url: string,
  { askingKey }: World,
  questions: readonly Question[],
): Promise<void> {
  const checks = questions.map(({ user, permission, scope }) => ({ user, permission, scope }));
  const answer = await fetch(`${url}/authorize/batch`, {
    method: 'POST',
    headers: { authorization: `Bearer ${askingKey}`, 'content-type': 'application/json' },
    body: JSON.stringify({ checks }),
  });
  if (answer.status !== 200) throw new Error(`the service answered ${answer.status}: ${await answer.text()}`);
  const { results } = (await answer.json()) as { results: { allowed: boolean }[] };
  const wrong = questions.find((question, place) => results[place]?.allowed !== question.allowed);
  if (wrong) throw new Error(`the service answered ${JSON.stringify(wrong)} the other way`);
}
