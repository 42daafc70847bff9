import { Catalogue } from '../../domain/decision/catalogue.ts';
import { changesEverything } from '../../domain/journal-entries.ts';
import { type Epoch, formatRevision, type Revision } from '../../domain/revisions.ts';
import type { SettingValues } from '../../domain/settings.ts';
import { unavailable } from '../../storage/deadline.ts';
import type { Change, Changes, Known } from '../../storage/read-models/changes.ts';
import { SharedRead } from './shared-read.ts';

/** What roles mean and what is set, at one revision. Replaced in one assignment, never edited. */
export interface Snapshot {
  readonly revision: Revision;
  /** The same as answers name it, which is put together once for all of them. */
  readonly revisionText: string;
  readonly epochs: readonly Epoch[];
  readonly catalogueValue: number;
  readonly settings: SettingValues;
  readonly catalogue: Catalogue;
}

/** Keeps something beside the mirror. Told what to forget before anybody sees the next snapshot. */
export interface Follower {
  forget(userPk: number): void;
  forgetEverything(): void;
  /** The catalogue was replaced: what was compiled with another one would keep that in memory. */
  catalogueReplaced(): void;
}

/** Told that the snapshot was replaced by a later one: by which changes, or with null that nothing known may be kept. */
export type MoveHearer = (changes: readonly Change[] | null) => void;

/** Changes kept to tell whether something read a moment ago still stands. */
const mostRemembered = 5_000;

/**
 * This process's copy of the catalogue, moved from revision to revision by the journal. Whoever follows it forgets what
 * the journal names, so that everything kept beside it is as of the same revision.
 */
export class Mirror {
  #follower: Follower | undefined;
  #hearer: MoveHearer | undefined;
  readonly #advance: SharedRead<void>;
  /** The newest revision that anybody waits for. */
  #wanted: Revision | null = null;
  #snapshot: Snapshot | undefined;
  #remembered: readonly Change[] = [];
  /** The changes after this revision are remembered whole. */
  #rememberedFrom = 0;

  /** `load` reads what is newer than what is known, at `wanted` or beyond. */
  constructor(load: (known: Known | undefined, wanted: Revision | null) => Promise<Changes>) {
    this.#advance = new SharedRead(async () => this.#take(await load(this.#snapshot, this.#wanted)));
  }

  follow(follower: Follower): void {
    this.#follower = follower;
  }

  /** Whoever hears is told at each move, when everything stands as of the new revision. */
  hear(hearer: MoveHearer): void {
    this.#hearer = hearer;
  }

  /** Undefined until something was read for the first time. */
  get snapshot(): Snapshot | undefined {
    return this.#snapshot;
  }

  get revisionValue(): number {
    return this.#snapshot?.revision.value ?? 0;
  }

  /**
   * Moves up to a revision that was read, or beyond. Throws `unavailable` if the server that is read has not come as far:
   * after a failover its connections and those of the head may lead to different ones for a while.
   */
  async reach(revision: Revision): Promise<void> {
    if (this.#hasCome(revision)) return;
    const { epoch, value } = this.#wanted ?? {};
    if (epoch !== revision.epoch || (value ?? 0) < revision.value) this.#wanted = revision;
    await this.#advance.ask();
    if (!this.#hasCome(revision)) throw unavailable('the server that is read lacks the newest changes');
  }

  /** Whether an epoch is one that the present one came after. */
  hasLeft(epoch: string): boolean {
    const { revision, epochs = [] } = this.#snapshot ?? {};
    return revision?.epoch !== epoch && epochs.some(({ id }) => id === epoch);
  }

  #hasCome(revision: Revision): boolean {
    return this.#snapshot !== undefined && hasCome(this.#snapshot, revision);
  }

  /** Whether something about a user, read at `revision`, may not be what it was. A null user stands for any new one. */
  changedSince(revision: Revision, userPk: number | null): boolean {
    const present = this.#snapshot?.revision;
    if (present?.epoch !== revision.epoch || revision.value > present.value) return true;
    if (revision.value === present.value) return false;
    if (revision.value < this.#rememberedFrom) return true;
    return this.#remembered.some(
      (change) =>
        change.revision > revision.value &&
        (userPk === null ? change.kind === 'user_created' : change.userPk === userPk),
    );
  }

  /** What happened after a revision up to the present one; null if that is not remembered, or is of another history. */
  changesSince(revision: Revision): readonly Change[] | null {
    const present = this.#snapshot?.revision;
    if (present?.epoch !== revision.epoch || revision.value > present.value) return null;
    if (revision.value < this.#rememberedFrom) return null;
    return this.#remembered.filter((change) => change.revision > revision.value);
  }

  #take({ revision, epochs, catalogueValue, settings, changes, catalogue }: Changes): void {
    const present = this.#snapshot;
    const isStale = present?.revision.epoch === revision.epoch && revision.value < present.revision.value;
    // After a failover, a server that was left behind knows nothing of the epoch that was found since.
    const isOther = present !== undefined && present.revision.epoch !== revision.epoch;
    const isLeft = isOther && this.#wanted !== null && !hasCome({ revision, epochs }, this.#wanted);
    if (isStale || isLeft) return;
    const isWhole = !changes || !present || changes.some(({ kind }) => changesEverything(kind));
    if (isWhole) {
      this.#follower?.forgetEverything();
      this.#remembered = [];
      this.#rememberedFrom = revision.value;
    } else {
      for (const { userPk } of changes) if (userPk !== null) this.#follower?.forget(userPk);
      this.#remember(changes);
    }
    const next = catalogue ? new Catalogue(catalogue) : present?.catalogue;
    if (!next) throw new Error('no catalogue came with the first read');
    const revisionText = formatRevision(revision);
    this.#snapshot = { revision, revisionText, epochs, catalogueValue, settings, catalogue: next };
    if (catalogue) this.#follower?.catalogueReplaced();
    if (present) this.#hearer?.(isWhole ? null : changes);
  }

  #remember(changes: readonly Change[]): void {
    const all = [...this.#remembered, ...changes];
    this.#remembered = all.slice(-mostRemembered);
    const forgotten = all[all.length - mostRemembered - 1];
    if (forgotten) this.#rememberedFrom = forgotten.revision;
  }
}

/** Whether a history has a revision behind it, or its epoch: what of that was lost, others find out. */
function hasCome(
  { revision: present, epochs }: Pick<Snapshot, 'revision' | 'epochs'>,
  { epoch, value }: Revision,
) {
  return present.epoch === epoch ? present.value >= value : epochs.some(({ id }) => id === epoch);
}
