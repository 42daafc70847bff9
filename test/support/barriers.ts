/**
 * A build that is sound but waits where a race is won or lost, and fails there, if a test says so. The waits stand in a
 * copy of the sources, so that the product has none.
 */
import type { Breakage } from './broken-build.ts';

export const places = [
  'before users are read',
  'after users were read',
  'before changes are read',
  'after changes were read',
  'before the head is read',
  'after the head was read',
] as const;

/** Where it can be made to wait or fail. */
export type Place = (typeof places)[number];

const name = 'rolecallBarriers';
const waits = (place: Place) =>
  `await (globalThis as never as { ${name}?: Map<string, () => unknown> }).${name}?.get('${place}')?.();`;

const decisions = 'services/decisions/decisions.ts';

/** Inside the use of the database, so that what waits too long there runs out of time as a query would. */
const around = (what: 'users' | 'changes', read: string): Breakage => ({
  file: decisions,
  replace: `(sql) => ${read}`,
  by: `async (sql) => {
      ${waits(`before ${what} are read`)}
      const found = await ${read};
      ${waits(`after ${what} were read`)}
      return found;
    }`,
});

export const barrierBuild: readonly Breakage[] = [
  around('users', 'loadUsers(sql, ids, keyIds)'),
  around('changes', 'loadChanges(sql, known)'),
  {
    file: decisions,
    replace: 'readHead: () => heads.run(deadlineIn(timeoutMs), readHead),',
    by: `readHead: () => heads.run(deadlineIn(timeoutMs), async (sql) => {
      ${waits('before the head is read')}
      const head = await readHead(sql);
      ${waits('after the head was read')}
      return head;
    }),`,
  },
];

const armed = new Map<Place, () => unknown>();
Object.assign(globalThis, { [name]: armed });

/** Does something each time that a process of the build comes to the place; nothing any more, if it is undefined. */
export function at(place: Place, act: (() => unknown) | undefined): void {
  if (act) armed.set(place, act);
  else armed.delete(place);
}

export interface Held {
  /** Resolves when somebody has come there. */
  readonly reached: Promise<void>;
  release(): void;
}

/** Holds the next who comes to the place, and nobody after. */
export function holdNext(place: Place): Held {
  let arrive = () => {};
  let release = () => {};
  const reached = new Promise<void>((resolve) => {
    arrive = resolve;
  });
  const released = new Promise<void>((resolve) => {
    release = resolve;
  });
  at(place, () => {
    at(place, undefined);
    arrive();
    return released;
  });
  return { reached, release };
}
