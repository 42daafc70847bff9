/** The questions that are put after each command of a random history, and at its end, with what the model answers. */
import { isDeepStrictEqual } from 'node:util';
import { permissions, roles, type Step, scopes, slugOf, users } from './history-commands.ts';
import { same, sameInPart } from './history-compare.ts';
import type { Stage } from './history-stage.ts';
import { shownEdges, shownException, shownGrant, shownTime } from './history-wire.ts';
import { distinct, type HistoryKey, type HistoryWorld } from './history-world.ts';
import { referenceDecision, referencePermissions, referenceRoles } from './reference-model.ts';
import { checkExplanation, checkHolders } from './reviews.ts';

/** The last tag of each answer about permissions, by user and scope, and what it stood for. */
export type Tags = Map<string, { readonly tag: string; readonly state: object }>;

interface Question {
  readonly user: string;
  readonly permission: string;
  readonly scope: string;
}

/** Asks, about what a command touched and about something else, all that can be asked. */
export async function checkAnswers(
  stage: Stage,
  world: HistoryWorld,
  head: string,
  tags: Tags,
  { change, ask }: Pick<Step, 'change' | 'ask'>,
): Promise<void> {
  const touched = 'user' in change ? change.user : ask.user;
  await Promise.all([
    checkDecision(stage, world, head, ask),
    checkDecisions(stage, world, head, [touched]),
    checkPermissions(stage, world, head, tags, ask),
    checkScopes(stage, world, head, ask),
    checkKey(stage, world, head, world.keys.at(-1), ask),
    checkReviews(stage, world, ask),
  ]);
}

/** Asks about everybody, everything, everywhere, and compares what is stored as far as it can be read. */
export async function checkEverything(stage: Stage, world: HistoryWorld, head: string): Promise<void> {
  await checkDecisions(stage, world, head, users);
  for (const user of world.users.keys()) await checkHoldings(stage, world, head, user);
  for (const role of roles) await checkRole(stage, world, role);
  const about = { user: 'root', permission: 'h.view', scope: 'org/acme' };
  for (const key of world.keys) await checkKey(stage, world, head, key, about);
}

async function checkDecision(
  stage: Stage,
  world: HistoryWorld,
  head: string,
  question: Question,
): Promise<void> {
  const payload = { ...question, ...stage.asOf(head) };
  const answer = await stage.request({ method: 'POST', url: '/authorize', payload });
  same(`POST /authorize ${JSON.stringify(payload)}`, answer.body, {
    ...decisionOn(world, question),
    revision: head,
  });
}

async function checkDecisions(
  stage: Stage,
  world: HistoryWorld,
  head: string,
  about: readonly string[],
): Promise<void> {
  const checks = about.flatMap((user) =>
    permissions.flatMap((permission) => scopes.map((scope) => ({ user, permission, scope }))),
  );
  const answer = await stage.request({
    method: 'POST',
    url: '/authorize/batch',
    payload: { checks, ...stage.asOf(head) },
  });
  sameInPart('POST /authorize/batch', answer, { status: 200, body: { revision: head } });
  const { results } = answer.body as { results: readonly unknown[] };
  const wrong = checks.flatMap((check, index) => {
    const due = decisionOn(world, check);
    return isDeepStrictEqual(results[index], due) ? [] : [{ check, came: results[index], due }];
  });
  same('POST /authorize/batch, wrong results', wrong, []);
}

function decisionOn(world: HistoryWorld, { user, permission, scope }: Question) {
  const slug = slugOf(permission);
  return { ...referenceDecision(world, user, slug, scope, Date.now()), permission: slug };
}

async function checkPermissions(
  stage: Stage,
  world: HistoryWorld,
  head: string,
  tags: Tags,
  { user, scope }: Question,
): Promise<void> {
  const place = JSON.stringify([user, scope]);
  const known = tags.get(place);
  const headers = known ? { 'if-none-match': known.tag } : {};
  const url = `/users/${encodeURIComponent(user)}/permissions`;
  const answer = await stage.request({ method: 'GET', url, query: { scope, ...stage.asOf(head) }, headers });
  const what = `GET ${url} in "${scope}"`;
  if (!world.users.has(user))
    return sameInPart(what, answer, { status: 404, body: { code: 'unknown_user' } });
  const state = {
    user,
    scope,
    ...accessOf(world, user, scope, Date.now()),
    expiresAt: nextChange(world, user, scope),
  };
  const unchanged = known !== undefined && isDeepStrictEqual(known.state, state);
  const due = unchanged ? { status: 304, body: null } : { status: 200, body: { ...state, revision: head } };
  same(what, { status: answer.status, body: answer.body }, due);
  same(`${what}, the revision in the header`, answer.headers['rolecall-revision'], head);
  tags.set(place, { tag: String(answer.headers['etag']), state });
}

function accessOf(world: HistoryWorld, user: string, scope: string, at: number) {
  return {
    permissions: referencePermissions(world, user, scope, at),
    roles: referenceRoles(world, user, scope, at),
  };
}

/** When what a user may do in a scope changes by itself. */
function nextChange(world: HistoryWorld, user: string, scope: string): string | null {
  const { grants = [], exceptions = [] } = world.users.get(user) ?? {};
  const bounds = [...grants, ...exceptions].flatMap(({ startsAt, expiresAt }) => [startsAt, expiresAt]);
  const coming = bounds.filter((bound) => bound !== null && bound > Date.now()) as number[];
  const now = accessOf(world, user, scope, Date.now());
  const next = coming
    .sort((a, b) => a - b)
    .find((at) => !isDeepStrictEqual(accessOf(world, user, scope, at), now));
  return shownTime(next ?? null);
}

/** Whatever scopes are listed, they say the same as asking everywhere. */
async function checkScopes(
  stage: Stage,
  world: HistoryWorld,
  head: string,
  { user, permission }: Question,
): Promise<void> {
  const url = `/users/${encodeURIComponent(user)}/scopes`;
  const answer = await stage.request({ method: 'GET', url, query: { permission, ...stage.asOf(head) } });
  const what = `GET ${url} of ${permission}`;
  if (!world.users.has(user))
    return sameInPart(what, answer, { status: 404, body: { code: 'unknown_user' } });
  const slug = slugOf(permission);
  sameInPart(what, answer, { status: 200, body: { user, permission: slug, revision: head } });
  const listed = answer.body as { scopes: string[]; denied: string[] };
  const isBelow = (scope: string, those: string[]) =>
    those.some((upper) => upper === '' || scope === upper || scope.startsWith(`${upper}/`));
  const asked = distinct([...scopes, ...listed.scopes]);
  same(
    `${what}, where by the list ${JSON.stringify(listed)}`,
    asked.filter((scope) => isBelow(scope, listed.scopes) && !isBelow(scope, listed.denied)),
    asked.filter((scope) => referenceDecision(world, user, slug, scope, Date.now()).allowed),
  );
  same(`${what}, sorted`, listed.scopes, distinct(listed.scopes));
}

/** Whether a key lets its user in, and whether that user may ask about others with it. */
async function checkKey(
  stage: Stage,
  world: HistoryWorld,
  head: string,
  key: HistoryKey | undefined,
  about: Question,
): Promise<void> {
  if (key?.secret === undefined) return;
  const { user, narrowedTo, state, secret } = key;
  const { permission, scope } = about;
  const own = await stage.request(
    { method: 'POST', url: '/authorize', payload: { permission, scope, ...stage.asOf(head) } },
    secret,
  );
  const other = await stage.request(
    { method: 'POST', url: '/authorize', payload: { ...about, ...stage.asOf(head) } },
    secret,
  );
  const isLetIn = state === 'good' && world.users.get(user)?.active === true;
  const refusal = (status: number, code: string) => ({ status, body: { code } });
  const decided = (question: Question) => ({ status: 200, body: decisionOn(world, question) });
  const mayAsk =
    about.user === user ||
    ((narrowedTo?.includes('rolecall_check') ?? true) &&
      decisionOn(world, { user, permission: 'rolecall_check', scope: about.scope }).allowed);
  const who = `POST /authorize with a ${state} key of ${user}`;
  if (!isLetIn) {
    sameInPart(who, own, refusal(401, 'unauthenticated'));
    sameInPart(who, other, refusal(401, 'unauthenticated'));
    return;
  }
  const isBeside = narrowedTo?.includes(slugOf(permission)) === false;
  const throughKey = decisionOn(world, { ...about, user });
  const narrowed = { status: 200, body: { allowed: false, reason: 'not_granted' } };
  sameInPart(
    `${who} about the caller`,
    own,
    isBeside && throughKey.allowed ? narrowed : decided({ ...about, user }),
  );
  sameInPart(`${who} about ${about.user}`, other, mayAsk ? decided(about) : refusal(403, 'forbidden'));
}

/** Why, and who else: read for each question, so that they know what is newest whatever is asked for. */
async function checkReviews(
  stage: Stage,
  world: HistoryWorld,
  { user, permission, scope }: Question,
): Promise<void> {
  const about = { user, permission: slugOf(permission), scope };
  await checkExplanation(stage, world, Date.now(), about);
  await checkHolders(stage, world, Date.now(), { ...about, limit: 200 });
}

async function checkHoldings(stage: Stage, world: HistoryWorld, head: string, user: string): Promise<void> {
  const at = `/users/${encodeURIComponent(user)}`;
  const grants = await stage.request({ method: 'GET', url: `${at}/roles` });
  const exceptions = await stage.request({ method: 'GET', url: `${at}/exceptions` });
  const known = world.users.get(user);
  const inOrder = <T extends { scope: string }>(held: T[], nameOf: (one: T) => string) =>
    held.toSorted((a, b) => compare(nameOf(a), nameOf(b)) || compare(a.scope, b.scope));
  const heldRoles = inOrder(known?.grants ?? [], (grant) => grant.role);
  const heldExceptions = inOrder(known?.exceptions ?? [], (exception) => exception.permission);
  sameInPart(`GET ${at}/roles`, grants.body, { data: heldRoles.map((grant) => shownGrant(user, grant)) });
  const due = heldExceptions.map((exception) => shownException(user, exception));
  sameInPart(`GET ${at}/exceptions`, exceptions.body, { data: due });
  const anything = await stage.request({ method: 'GET', url: `${at}/scopes`, query: stage.asOf(head) });
  const heldAt = distinct([...heldRoles, ...heldExceptions].map((each) => each.scope));
  const where = heldAt.filter((scope) => referencePermissions(world, user, scope, Date.now()).length > 0);
  sameInPart(`GET ${at}/scopes`, anything.body, { permission: null, scopes: where, denied: [] });
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

async function checkRole(stage: Stage, world: HistoryWorld, role: string): Promise<void> {
  const answer = await stage.request({ method: 'GET', url: `/roles/${role}/permissions` });
  const due = world.roles.has(role)
    ? { status: 200, body: shownEdges(world, role) }
    : { status: 404, body: { code: 'unknown_role' } };
  sameInPart(`GET /roles/${role}/permissions`, answer, due);
}
