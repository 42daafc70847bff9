import fc from 'fast-check';
import { it } from 'vitest';
import { type Breakage, withBrokenBuild } from '../support/broken-build.ts';
import { playHistory } from '../support/history.ts';
import type { Step } from '../support/history-commands.ts';
import { histories } from '../support/history-draws.ts';
import { type Build, buildOf } from '../support/replicas.ts';

/** Always the same histories, so that it is known which of them finds what. */
const drawn = fc.sample(histories, { seed: 60, numRuns: 60 });
/** The places of those that between them do all that the breakages are about; they are played first, to be quick. */
const telling = [19, 8, 1, 49, 25, 39, 53, 3, 17, 45];
const tried = [...new Set([...telling, ...drawn.keys()])].map((place) => drawn[place] as Step[]);

const userRows = 'storage/read-models/user-rows.ts';
const changes = 'storage/read-models/changes.ts';
const edges = 'services/role-edges.ts';

const ofGrants = "'role', key, 'scope', scope,\n        ";
const starts = "'startsAt', extract(epoch from starts_at) * 1000";
const ends = "'expiresAt', extract(epoch from expires_at) * 1000";

/** Each takes one rule out of the service. */
const breakages: Readonly<Record<string, Breakage | readonly Breakage[]>> = {
  'included roles are not followed': {
    file: 'domain/decision/catalogue.ts',
    replace: 'for (const included of this.includedIn(next)) reached.add(included);',
    by: 'void next;',
  },
  'only the first segment of a denial counts': {
    file: userRows,
    replace: "'effect', effect, 'scope', scope,",
    by: "'effect', effect, 'scope', split_part(scope, '/', 1),",
  },
  'a grant never ends': {
    file: userRows,
    replace: `${ofGrants}${starts}, ${ends}`,
    by: `${ofGrants}${starts}, 'expiresAt', null`,
  },
  'a grant begins at once': {
    file: userRows,
    replace: `${ofGrants}${starts}, ${ends}`,
    by: `${ofGrants}'startsAt', null, ${ends}`,
  },
  'what begins like a scope is below it': {
    file: 'domain/scopes.ts',
    replace: " && asked[holder.length] === '/'",
    by: '',
  },
  'exceptions are not read': {
    file: userRows,
    replace: 'permissions.pk = permission_pk\n      where user_pk = people.pk',
    by: 'permissions.pk = permission_pk\n      where false',
  },
  'grants are not read': {
    file: userRows,
    replace: 'roles.pk = role_pk where user_pk = people.pk',
    by: 'roles.pk = role_pk where false',
  },
  'deactivation is not effective': {
    file: userRows,
    replace: "'active', people.active",
    by: "'active', true",
  },
  'a withheld edge is given': {
    file: changes,
    replace: 'json_build_array(role_pk, permission_pk, withheld)',
    by: 'json_build_array(role_pk, permission_pk, false)',
  },
  'a withheld include is given': {
    file: changes,
    replace: 'json_build_array(role_pk, included_pk, withheld)',
    by: 'json_build_array(role_pk, included_pk, false)',
  },
  'a retired permission is known': {
    file: changes,
    replace: 'from rolecall.permissions where retired_at is null)',
    by: 'from rolecall.permissions)',
  },
  'nobody who was changed is forgotten': {
    file: 'services/decisions/mirror.ts',
    replace: 'if (userPk !== null) this.#follower?.forget(userPk);',
    by: '{}',
  },
  'the catalogue is read once': {
    file: changes,
    replace: 'or catalogue_value > ',
    by: 'or catalogue_value < ',
  },
  'nobody asks whether something is newer': {
    file: 'services/decisions/views.ts',
    replace: 'if (isCurrentEnough(asking))',
    by: 'if (mirror.snapshot)',
  },
  'what was compiled is never compiled again': [
    {
      file: 'services/decisions/cached-user.ts',
      replace: 'known && known.catalogue === catalogue && known.from <= now && now < known.until',
      by: 'known',
    },
    {
      file: 'services/decisions/cached-user.ts',
      replace: 'if (this.#compiled?.catalogue !== present) this.#compiled = undefined;',
      by: 'void present;',
    },
  ],
  'a list is kept whatever the scope': {
    file: 'services/decisions/permission-lists.ts',
    replace: 'kept?.access === access && kept.list.scope === scope',
    by: 'kept?.access === access',
  },
  'the tag of an answer leaves out what it says': {
    file: 'http/routes/user-permissions.ts',
    replace: "createHash('sha256').update(text)",
    by: "createHash('sha256').update(permissions.user + permissions.scope)",
  },
  'the tag of an answer changes with every revision': {
    file: 'http/routes/user-permissions.ts',
    replace: ".header('etag', tag)",
    by: ".header('etag', revision)",
  },
  'an answer does not say when it will change': {
    file: 'services/decisions/permission-lists.ts',
    replace: 'expiresAt: nextChange(access.catalogue, access.user, scope, access.at)',
    by: 'expiresAt: null',
  },
  'a batch is asked in one scope': {
    file: 'http/routes/authorize.ts',
    replace: 'scope: check.scope ?? scope,',
    by: 'scope,',
  },
  'what is given outweighs what is denied': {
    file: 'domain/decision/decide.ts',
    replace: 'if (standing?.denied?.has(number)) return',
    by: 'if (standing?.denied?.has(number) && !standing.given.has(number)) return',
  },
  'a grant is said to give what was held before': {
    file: 'services/decisions/effective-change.ts',
    replace: 'changeBetween(listOf(before), permissions)',
    by: 'changeBetween([], permissions)',
  },
  'DELETE of an edge leaves no tombstone': {
    file: 'domain/origins.ts',
    replace: 'give || others.some((row) => !row.withheld)',
    by: 'give',
  },
  'DELETE of an edge always leaves a tombstone': {
    file: 'domain/origins.ts',
    replace: 'give || others.some((row) => !row.withheld)',
    by: 'true',
  },
  'PUT of an edge does not lift the tombstone': {
    file: 'domain/origins.ts',
    replace: 'before?.withheld === after?.withheld',
    by: '(give ? before !== undefined : before?.withheld === after?.withheld)',
  },
  'PUT of an edge overrules a layer': {
    file: 'domain/origins.ts',
    replace: 'if (give && layer)',
    by: 'if (give && layer && !layer)',
  },
  'roles may include themselves': { file: edges, replace: '  if (way)\n', by: '  if (way && false)\n' },
  'replacing edges does not ask what they were': {
    file: edges,
    replace: 'if (current.version !== version)',
    by: 'if (current.version !== version && false)',
  },
  'system roles are edited': { file: 'services/roles.ts', replace: 'if (role.isSystem)', by: 'if (!role)' },
  'deleting a role leaves its includes': {
    file: 'services/roles.ts',
    replace: 'rolePk === role.pk || includedPk === role.pk',
    by: 'rolePk === role.pk && includedPk === role.pk',
  },
  'deleting a role does not record the grants it ends': {
    file: 'services/roles.ts',
    replace: 'recordRemoval(handle, grant.userPk, grant);',
    by: '',
  },
  'retiring leaves exceptions': {
    file: 'services/permissions.ts',
    replace: 'await endExceptions(handle, { permissionPk: pk })',
    by: '[]',
  },
  'retiring leaves edges': {
    file: 'services/permissions.ts',
    replace: 'await deleteEdgesOfPermission(handle, pk)',
    by: '[]',
  },
  'two permissions share a slug': {
    file: 'domain/registrations.ts',
    replace: "if (!('slug' in wanted) && nameOf(wanted) !== nameOf(known)) {",
    by: 'if (nameOf(known).length < 0) {',
  },
  'deactivation is not stored': {
    file: 'services/users.ts',
    replace: 'updateUser(handle, user.pk, { email, active })',
    by: 'updateUser(handle, user.pk, { email })',
  },
  'deactivation is not recorded': {
    file: 'services/users.ts',
    replace: "handle.record({\n            kind: 'user_updated',",
    by: "void ({\n            kind: 'user_updated',",
  },
  'a second grant does not replace the terms': {
    file: 'storage/grant-batches.ts',
    replace: 'expires_at = excluded.expires_at, reason = excluded.reason',
    by: 'reason = excluded.reason',
  },
  'a second exception does not replace the terms': {
    file: 'storage/exceptions.ts',
    replace: 'set: { ...given, grantedAt',
    by: 'set: { grantedAt',
  },
  'DELETE of a grant takes it back in any scope': {
    file: 'storage/grant-batches.ts',
    replace: 'held.scope = wanted.scope',
    by: 'held.scope >= wanted.scope',
  },
  'DELETE of a grant looks at the empty scope only': {
    file: 'services/grants.ts',
    replace: 'change: { user, role, scope, terms: null }',
    by: "change: { user, role, scope: '' as never, terms: null }",
  },
  'DELETE of an exception ends it in any scope': {
    file: 'storage/exceptions.ts',
    replace: '      eq(userPermissions.scope, place.scope),\n',
    by: '',
  },
  'the last administrator may go': {
    file: 'services/administrator-floor.ts',
    replace:
      'if (!(await administratorRemains(handle, administratorRole, builtinSlugs))) throw noAdministrator();',
    by: 'return;',
  },
  'an answer names the revision before its own': {
    file: 'storage/transaction.ts',
    replace: 'if (changed) value += 1;',
    by: '',
  },
  'the revision is not raised': {
    file: 'storage/journal.ts',
    replace: 'revision += 1;',
    by: '',
  },
  'a change leaves no entry': {
    file: 'storage/transaction.ts',
    replace: 'if (value > locked.value) lane.sendAlong',
    by: "if (parts.some(({ actor }) => actor.kind === 'operator')) lane.sendAlong",
  },
  'of several entries one is kept': {
    file: 'storage/transaction.ts',
    replace: 'locked, parts));',
    by: 'locked, parts.map((one) => ({ ...one, entries: one.entries.slice(0, 1) }))));',
  },
  'an entry is sealed to the first row, not to the one before': {
    file: 'storage/journal.ts',
    replace: 'head = sealEntry(key, head, content);',
    by: 'head = sealEntry(key, locked.journalHead, content);',
  },
  'a dry run is kept': {
    file: 'storage/transaction.ts',
    replace: 'if (dryRun) {',
    by: 'if (dryRun && entries.length === 0) {',
  },
  'a repeated request is carried out again': {
    file: 'storage/transaction.ts',
    replace: 'if (answer !== undefined) return',
    by: 'if (answer !== undefined && false) return',
  },
  'a revoked key is good': {
    file: userRows,
    replace: "'revoked', revoked_at is not null",
    by: "'revoked', false",
  },
  'the key of an inactive user is good': {
    file: 'services/decisions/views.ts',
    replace: 'if (!isSame || !isActive || isOver',
    by: 'if (isOver',
  },
  'a narrowed key is as good as a whole one': {
    file: 'services/decisions/user-cache.ts',
    replace: 'narrowedTo: narrowedTo && new Set(narrowedTo)',
    by: 'narrowedTo: null',
  },
};

it.concurrent.for(Object.entries(breakages))(
  'a build is found out in which $0',
  { timeout: 900_000 },
  async ([, breakage], { annotate, expect }) => {
    const finding = await withBrokenBuild(breakage, async (load) => {
      return firstFinding(await buildOf(load));
    });
    expect(finding).toBeDefined();
    if (finding === undefined) return;
    await annotate(`after ${finding.played} histories: ${finding.what}`);
    // It was the breakage that was found: the sound build answers the same history as it must.
    await playHistory(finding.history);
  },
);

interface Finding {
  readonly played: number;
  readonly history: readonly Step[];
  readonly what: string;
}

async function firstFinding(build: Build): Promise<Finding | undefined> {
  for (const [index, history] of tried.entries())
    try {
      await playHistory(history, { build });
    } catch (error) {
      return { played: index + 1, history, what: (error as Error).message };
    }
  return undefined;
}
