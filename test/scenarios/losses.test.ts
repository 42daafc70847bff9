/** Every way to lose something, as a replica learns of it that has it in memory. */
import { expect, test } from 'vitest';
import { withBrokenBuild } from '../support/broken-build.ts';
import { brokenFreshness, type Reason } from '../support/broken-freshness.ts';
import { type Build, buildOf, type Replica, soundBuild, startReplicas } from '../support/replicas.ts';
import { done, outcome, permission } from '../support/vault.ts';

/** Somebody who has the permission by a role of their own, in memory of the replica that is asked. */
interface Holder {
  readonly writer: Replica;
  readonly user: string;
  readonly role: string;
  readonly keyId: string;
}

const slug = 'vault_open';
const makeRole = async (writer: Replica, role: string) => {
  await done(writer, 'POST', '/roles', { key: role, name: role });
  return done(writer, 'PUT', `/roles/${role}/permissions/${slug}`);
};
const revoke = ({ writer, user, role }: Holder) => done(writer, 'DELETE', `/users/${user}/roles/${role}`);
const isoIn = (milliseconds: number) => new Date(Date.now() + milliseconds).toISOString();

/** Each makes the last change that takes it away, or what might seem to bring it back. Returns its revision. */
const ways: Readonly<Record<string, (holder: Holder) => Promise<string>>> = {
  'the grant is taken': revoke,
  'the grant expires': ({ writer, user, role }) =>
    done(writer, 'PUT', `/users/${user}/roles/${role}`, {
      startsAt: isoIn(-120_000),
      expiresAt: isoIn(-60_000),
    }),
  'an exception denies it': ({ writer, user }) =>
    done(writer, 'PUT', `/users/${user}/permissions/${slug}`, { effect: 'deny' }),
  'the role loses it': ({ writer, role }) => done(writer, 'DELETE', `/roles/${role}/permissions/${slug}`),
  'the role is deleted, and another of its name is made': async (holder) => {
    await revoke(holder);
    await done(holder.writer, 'DELETE', `/roles/${holder.role}`);
    return makeRole(holder.writer, holder.role);
  },
  'the permission is retired': ({ writer }) => done(writer, 'DELETE', `/permissions/${slug}`),
  'the permission is retired, and registered again': async ({ writer }) => {
    await done(writer, 'DELETE', `/permissions/${slug}`);
    return done(writer, 'POST', '/permissions', { permission });
  },
  'they are deactivated': ({ writer, user }) => done(writer, 'PATCH', `/users/${user}`, { active: false }),
  'they are deleted': ({ writer, user }) => done(writer, 'DELETE', `/users/${user}`),
  'they are deleted, and another of their name is made': async ({ writer, user }) => {
    await done(writer, 'DELETE', `/users/${user}`);
    return done(writer, 'POST', '/users', { id: user });
  },
};
const ofKeys: typeof ways = {
  'the key is revoked': ({ writer, keyId }) => done(writer, 'DELETE', `/keys/${keyId}`),
};

/** How the other replica is asked then, for the first time since. Whether it says that they have it still. */
const questions: Readonly<
  Record<string, (asked: Replica, user: string, key: string, revision: string) => Promise<boolean>>
> = {
  'from memory, at the revision': async (asked, user, _key, atLeast) =>
    (await outcome(asked, { user, freshness: 'lease', atLeast })) !== 'denied',
  'as of now': async (asked, user) => (await outcome(asked, { user })) !== 'denied',
  'by their own key': async (asked, _user, key) => (await outcome(asked, {}, key)) === 'allowed',
  'by their own key, for all they have': async (asked, _user, key) => {
    const { body } = await asked.request({ method: 'GET', url: '/me/permissions' }, key);
    return JSON.stringify(body).includes(slug);
  },
};

/** What is still had after it was lost, and how that is seen. */
async function kept(build: Build): Promise<readonly string[]> {
  const started = await startReplicas(2, { build, variables: { ROLECALL_LEASE_MS: '60000' } });
  const [writer, asked] = started.replicas as readonly [Replica, Replica];
  const found: string[] = [];
  let number = 0;
  for (const [way, lose] of Object.entries({ ...ways, ...ofKeys }))
    for (const [how, has] of Object.entries(questions)) {
      if (way in ofKeys && !how.includes('key')) continue;
      number += 1;
      const [user, role] = [`user-${number}`, `role-${number}`];
      await done(writer, 'POST', '/permissions', { permission });
      await makeRole(writer, role);
      await done(writer, 'POST', '/users', { id: user });
      const given = await done(writer, 'PUT', `/users/${user}/roles/${role}`, {});
      const made = await writer.request({ method: 'POST', url: '/keys', payload: { user, name: 'x' } });
      const { key, id: keyId } = made.body as { key: string; id: string };
      if (!(await has(asked, user, key, given))) throw new Error(`never had: ${how}`);
      const revision = await lose({ writer, user, role, keyId });
      if (await has(asked, user, key, revision)) found.push(`${way}: ${how}`);
    }
  await started.close();
  return found;
}

test('what was lost is lost everywhere, whichever way and however it is asked for (A-08)', {
  timeout: 300_000,
}, async () => {
  expect(await kept(soundBuild)).toEqual([]);
});

const breakages: Readonly<Partial<Record<Reason, string>>> = {
  'what the journal names is kept': 'the grant is taken: as of now',
  'a revision read before the request came is good enough': 'they are deactivated: as of now',
  'the revision that was asked for is not waited for': 'they are deleted: from memory, at the revision',
};
test.for(Object.entries(breakages) as [Reason, string][])(
  'it is found out where %s (A-08)',
  { timeout: 300_000 },
  async ([reason, due]) => {
    await withBrokenBuild(brokenFreshness[reason], async (load) =>
      expect(await kept(await buildOf(load))).toContain(due),
    );
  },
);
