/** Builds that answer from the past, each for one reason. Tests of freshness must find them out. */
import type { Breakage } from './broken-build.ts';

const freshness = 'services/decisions/freshness.ts';
const mirror = 'services/decisions/mirror.ts';
const userCache = 'services/decisions/user-cache.ts';
const views = 'services/decisions/views.ts';

export const brokenFreshness = {
  'only notifications bring what is new': [
    {
      file: freshness,
      replace: '      return reads.ask(since);',
      by: `      Object.assign(mirror, { wake: () => reads.ask() });
      return mirror.snapshot && confirmedAt > 0 ? Promise.resolve() : reads.ask(since);`,
    },
    {
      file: 'services/decisions/decisions.ts',
      replace: 'wake: () => void freshness.latest().catch(() => {}),',
      by: 'wake: () => void (mirror as unknown as { wake(): Promise<void> }).wake().catch(() => {}),',
    },
  ],
  'a revision read before the request came is good enough': {
    file: views,
    replace: "if (mode !== 'lease' || !freshness.isWithinLease()) return false;",
    by: 'if (!freshness.isWithinLease()) return false;',
  },
  'a read of the head serves those who came after it began': {
    file: 'services/decisions/shared-read.ts',
    replace: '    this.#next = undefined;\n',
    by: '    queueMicrotask(() => void this.#newest?.finally(() => { this.#next = undefined; }).catch(() => {}));\n',
  },
  'who came when a read of the head was under way had come before': {
    file: freshness,
    replace: 'return reads.ask(since);',
    by: 'return reads.ask(since === undefined ? since : since - 1);',
  },
  'a fill that began before an invalidation is kept': {
    file: mirror,
    replace: 'revision.value > present.value) return true;',
    by: 'revision.value > present.value) return true;\n    if (revision.value >= 0) return false;',
  },
  'what the journal names is kept': {
    file: mirror,
    replace: 'if (userPk !== null) this.#follower?.forget(userPk);',
    by: '{ void userPk; }',
  },
  'keys are kept when their owner changes': {
    file: userCache,
    replace: '    this.#credentials.dropOf(userPk);\n',
    by: '',
  },
  'who was not there is not there for good': [
    { file: views, replace: '    const fills: Filled[] = [];\n', by: '' },
    {
      file: views,
      replace: '  function isCurrentEnough(',
      by: '  const fills: Filled[] = [];\n  function isCurrentEnough(',
    },
    {
      file: views,
      replace: 'return users.has(id) && !mirror.changedSince(revision, users.get(id)?.userPk ?? null);',
      by: 'return users.has(id) && !users.get(id) && revision.value >= 0;',
    },
  ],
  'the revision that was asked for is not waited for': {
    file: views,
    replace: '(atLeast === null || hasReached(snapshot, atLeast))',
    by: '(atLeast === null || hasReached(snapshot, atLeast) || true)',
  },
  'a lease has no end': {
    file: freshness,
    replace: 'mirror.snapshot?.settings.lease_ms ?? leaseMs',
    by: 'Number.POSITIVE_INFINITY',
  },
  'the catalogue is kept when roles change': {
    file: mirror,
    replace: 'const next = catalogue ? new Catalogue(catalogue) : present?.catalogue;',
    by: 'const next = present?.catalogue ?? (catalogue && new Catalogue(catalogue));',
  },
  'another epoch is taken for the same': {
    file: freshness,
    replace: 'if (head.place === place && !wentBack) return head;',
    by: 'if (head.place === place && !wentBack) return head;\n    if (place !== undefined) return head;',
  },
} as const satisfies Readonly<Record<string, Breakage | readonly Breakage[]>>;

export type Reason = keyof typeof brokenFreshness;
