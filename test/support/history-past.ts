/**
 * Plays random histories one after the other on one database and asks, now and then, how it was before: the world as it
 * stood after each revision is kept, and every answer about the past is held to the world that stood then.
 */
import { isDeepStrictEqual } from 'node:util';
import { begin, type Play, take } from './history.ts';
import { permissions, type Step, scopes, slugOf, users } from './history-commands.ts';
import { same, sameInPart } from './history-compare.ts';
import { openStage, type Stage, type StageOptions } from './history-stage.ts';
import type { HistoryWorld } from './history-world.ts';
import { referenceDecision, referencePermissions, referenceRoles } from './reference-model.ts';

interface Known {
  readonly revision: string;
  readonly world: HistoryWorld;
}

/** What stood, by revision, for as far back as is asked about. */
const mostKept = 400;
const askedEach = 3;
/** One in so many of all checks is asked at each moment: what the reference model makes of them takes longest. */
const checkShare = 4;

/** Throws at the first answer that is not what stood then. Resolves to how many answers were compared. */
export async function playPast(histories: readonly Step[][], options: StageOptions = {}): Promise<number> {
  const stage = await openStage({ ...options, site: false });
  const kept: Known[] = [];
  let compared = 0;
  let turn = 0;
  const next = (most: number) => {
    turn = (turn * 48_271 + 11) % 2_147_483_647;
    return turn % most;
  };
  try {
    const play = await begin(stage);
    keepWorld(play, kept);
    for (const [place, history] of histories.entries())
      try {
        for (const [index, step] of history.entries()) {
          await take(play, step, `h${place}c${index}`, true);
          keepWorld(play, kept);
        }
        for (let asked = 0; asked < askedEach; asked += 1) {
          const known = kept[asked === 0 ? Math.max(0, kept.length - 2) : next(kept.length)] as Known;
          compared += await compare(stage, known, await momentOf(stage, known.revision, next(3)), next);
        }
      } catch (error) {
        throw new Error(`in history ${place}: ${(error as Error).message}`, { cause: error });
      }
    return compared;
  } finally {
    await stage.close();
  }
}

function keepWorld(play: Play, kept: Known[]): void {
  const revision = `${play.epoch}-${play.revision}`;
  if (kept.at(-1)?.revision === revision) return;
  kept.push({ revision, world: structuredClone(play.world) });
  if (kept.length > mostKept) kept.splice(0, 1);
}

/** The revision itself, its time, or the last microsecond before the next. */
async function momentOf({ sql }: Stage, revision: string, how: number): Promise<string> {
  if (how === 0) return revision;
  const value = Number(revision.split('-')[1]);
  const [row] = await sql<[{ own: string; last: string }]>`
    select to_char(min(time) filter (where revision = ${value}) at time zone 'UTC', ${form}) as own,
      to_char(coalesce(min(time) filter (where revision = ${value + 1}) - interval '1 microsecond',
        min(time) filter (where revision = ${value})) at time zone 'UTC', ${form}) as last
    from rolecall.journal where revision in (${value}, ${value + 1})`;
  return how === 1 ? row.own : row.last;
}

const form = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"';

async function compare(
  stage: Stage,
  { revision, world }: Known,
  at: string,
  next: (most: number) => number,
): Promise<number> {
  const what = (route: string) => `${route} at ${at}, which is ${revision}`;
  const offset = next(checkShare);
  const checks = users
    .flatMap((user) =>
      permissions.flatMap((permission) => scopes.map((scope) => ({ user, permission, scope }))),
    )
    .filter((_, place) => place % checkShare === offset);
  const batch = await stage.request({ method: 'POST', url: '/authorize/batch', payload: { checks, at } });
  sameInPart(what('POST /authorize/batch'), batch, { status: 200, body: { revision } });
  const { results } = batch.body as { results: readonly unknown[] };
  const wrong = checks.flatMap(({ user, permission, scope }, index) => {
    const slug = slugOf(permission);
    const due = { ...referenceDecision(world, user, slug, scope, Date.now()), permission: slug };
    return isDeepStrictEqual(results[index], due) ? [] : [{ user, slug, scope, came: results[index], due }];
  });
  same(what('POST /authorize/batch'), wrong, []);

  const user = users[next(users.length)] as string;
  const scope = scopes[next(scopes.length)] as string;
  const permission = permissions[next(permissions.length)] as string;
  const slug = slugOf(permission);
  const known = world.users.has(user);
  const query = { scope, at };
  const path = `/users/${encodeURIComponent(user)}`;

  const list = await stage.request({ method: 'GET', url: `${path}/permissions`, query });
  const listed = {
    permissions: referencePermissions(world, user, scope, Date.now()),
    roles: referenceRoles(world, user, scope, Date.now()),
    revision,
  };
  const unknown = { status: 404, body: { code: 'unknown_user' } };
  sameInPart(what(`GET ${path}/permissions`), list, known ? { status: 200, body: listed } : unknown);

  const why = await stage.request({ method: 'GET', url: `${path}/explain`, query: { ...query, permission } });
  const decision = referenceDecision(world, user, slug, scope, Date.now());
  sameInPart(
    what(`GET ${path}/explain`),
    why,
    known ? { status: 200, body: { ...decision, revision } } : unknown,
  );

  const who = await stage.request({
    method: 'GET',
    url: `/permissions/${slug}/users`,
    query: { ...query, limit: '200' },
  });
  if (world.permissions.get(slug) !== 'registered') {
    sameInPart(what(`GET /permissions/${slug}/users`), who, {
      status: 404,
      body: { code: 'unknown_permission' },
    });
    return checks.length + 3;
  }
  const { data } = who.body as { data: readonly { user: string }[] };
  const holders = [...world.users.keys()].filter(
    (id) => referenceDecision(world, id, slug, scope, Date.now()).allowed,
  );
  same(
    what(`GET /permissions/${slug}/users in "${scope}"`),
    data.map((one) => one.user).sort(),
    holders.sort(),
  );
  return checks.length + 3;
}
