import { execFile, spawnSync } from 'node:child_process';
import { chmod, mkdtemp, open, rm, rmdir, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { long } from './long-run.ts';

const execute = promisify(execFile);
const words = (size: string, folder: string) => ['-t', 'tmpfs', '-o', `size=${size}`, 'small-disk', folder];

/** Whether a disk can be made here. Root of Linux may, unless a container keeps it from that. */
export function mayMount(): boolean {
  // In a namespace of its own, which takes the disk with it.
  const { status } = spawnSync('unshare', ['--mount', 'mount', ...words('1m', tmpdir())]);
  if (status !== 0 && long) throw new Error('the long run needs to mount a disk: run it as root of Linux');
  return status === 0;
}

/** A disk that can be filled, in memory. */
export interface SmallDisk {
  readonly folder: string;
  /** Takes all the room that is left. */
  fill(): Promise<void>;
  /** Gives it back. */
  free(): Promise<void>;
  /** Moves a folder to where there is room, and leaves a link to it. */
  putElsewhere(path: string): Promise<void>;
  remove(): Promise<void>;
}

export async function mountSmallDisk(size: string): Promise<SmallDisk> {
  const folder = await mkdtemp(join(tmpdir(), 'rolecall-small-disk-'));
  const elsewhere = await mkdtemp(join(tmpdir(), 'rolecall-large-disk-'));
  await chmod(elsewhere, 0o711);
  await execute('mount', words(size, folder));
  const ballast = join(folder, 'ballast');
  return {
    folder,
    async fill() {
      const file = await open(ballast, 'a');
      const some = Buffer.alloc(2 ** 20);
      try {
        for (;;) await file.write(some);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
      } finally {
        await file.close();
      }
    },
    free: () => rm(ballast, { force: true }),
    async putElsewhere(path) {
      await execute('mv', [path, elsewhere]);
      await symlink(join(elsewhere, basename(path)), path);
    },
    async remove() {
      await execute('umount', [folder]);
      await rmdir(folder);
      await rm(elsewhere, { recursive: true, force: true });
    },
  };
}
