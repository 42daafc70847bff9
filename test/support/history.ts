/**
 * Plays random histories to the whole service: sends each command, holds its answer to what the model foretells, and
 * asks the questions that the reference model can answer too.
 */
import { checkAnswers, checkEverything, type Tags } from './history-answers.ts';
import { type Step, scopes } from './history-commands.ts';
import { same, sameInPart } from './history-compare.ts';
import { checkJournal, type Recorded } from './history-journal.ts';
import { type Foretold, foretell } from './history-rules.ts';
import { openStage, readWorld, type Stage, type StageOptions } from './history-stage.ts';
import { requestOf, type WriteRequest } from './history-wire.ts';
import type { HistoryKey, HistoryWorld } from './history-world.ts';
import type { Answer } from './over-http.ts';
import { referenceDecision } from './reference-model.ts';

/** A history under way. */
export interface Play {
  readonly stage: Stage;
  world: HistoryWorld;
  readonly epoch: string;
  revision: number;
  readonly changes: Recorded[];
  readonly tags: Tags;
}

/** Plays a history from the beginning on a database of its own. Throws at the first answer that the model does not give. */
export async function playHistory(history: readonly Step[], options: StageOptions = {}): Promise<void> {
  const stage = await openStage(options);
  try {
    const play = await begin(stage);
    const from = play.revision;
    for (const [index, step] of history.entries())
      await take(play, step, `c${index + 1}`).catch((error: Error) => {
        throw new Error(`after command ${index + 1}, ${JSON.stringify(step)}:\n${error.message}`, {
          cause: error,
        });
      });
    await checkEverything(stage, play.world, headOf(play));
    await checkJournal(stage.sql, from, play.changes);
  } finally {
    await stage.close();
  }
}

export async function begin(stage: Stage): Promise<Play> {
  const world = await readWorld(stage.sql);
  const [head] = await stage.sql<[{ epoch: string; value: number }]>`
    select epoch, value::int as value from rolecall.revision`;
  return { stage, world, epoch: head.epoch, revision: head.value, changes: [], tags: new Map() };
}

function headOf(play: Play): string {
  return `${play.epoch}-${play.revision}`;
}

/** Carries out one command, and asks afterwards unless it is to be quiet. */
export async function take(play: Play, step: Step, requestId: string, quiet = false): Promise<void> {
  const { change, dry, twice, ask } = step;
  const draft = structuredClone(play.world);
  const foretold = foretell(draft, change, Date.now());
  // What is refused leaves the draft half changed; what is given to others must not lock out the one who asks.
  if ('user' in change && change.user === 'root' && foretold.status < 300 && !rootRules(draft)) return;
  const request = requestOf(change, play.world);
  const ifMatch = change.kind === 'replace' ? await versionOf(play, change.role, change.stale) : {};
  const headers = { 'x-request-id': requestId, 'idempotency-key': requestId, ...ifMatch };
  const answer = await send(play, request, headers, dry);
  const changed = foretold.entries.length > 0;
  if (changed && !dry) {
    play.revision += 1;
    play.changes.push({ revision: play.revision, requestId, entries: foretold.entries });
  }
  checkWritten(answer, foretold, { changed, revision: headOf(play) });
  if (foretold.status < 300 && !dry) play.world = draft;
  if (change.kind === 'create key' && changed && !dry) keep(play.world.keys.at(-1), answer);
  if (twice && !dry && request.method === 'POST')
    same('the repeated request', lasting(await send(play, request, headers, dry)), lasting(answer));
  if (!quiet) await checkAnswers(play.stage, play.world, headOf(play), play.tags, { change, ask });
}

function send(
  play: Play,
  { method, path, scope, body }: WriteRequest,
  headers: Record<string, string>,
  dry: boolean,
) {
  const query = { ...(scope ? { scope } : {}), ...(dry ? { dryRun: 'true' } : {}) };
  return play.stage.request({ method, url: path, query, headers, ...(body ? { payload: body } : {}) });
}

/** `root` still may do everything everywhere, now and for as long as a history takes. */
function rootRules(world: HistoryWorld): boolean {
  const slugs = [...world.permissions.keys()].filter((slug) => slug.startsWith('rolecall_'));
  return slugs.every((slug) =>
    scopes.every((scope) => referenceDecision(world, 'root', slug, scope, Date.now()).allowed),
  );
}

function checkWritten({ status, body }: Answer, foretold: Foretold, written: object): void {
  const due = foretold.code === undefined ? { ...foretold.answer, ...written } : { code: foretold.code };
  // An answer of another kind is shown whole: it says why.
  const compared = status === foretold.status ? sameInPart : same;
  compared('the answer', { status, body }, { status: foretold.status, body: due });
}

async function versionOf(play: Play, role: string, stale: boolean): Promise<{ 'if-match': string }> {
  const { headers } = await play.stage.request({ method: 'GET', url: `/roles/${role}/permissions` });
  return { 'if-match': stale || typeof headers['etag'] !== 'string' ? '"stale"' : headers['etag'] };
}

function keep(key: HistoryKey | undefined, answer: Answer): void {
  const made = answer.body as { id: string; key: string };
  Object.assign(key ?? {}, { id: made.id, secret: made.key });
}

/** An answer without what may differ when it is given again. */
function lasting({ status, body }: Answer) {
  return { status, body: { ...(body as object), key: undefined } };
}
