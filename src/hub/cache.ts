import { createWriteStream } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** A file of a repository, and the name its content has in the cache. */
export interface CachedName {
  /** Path in the repository. */
  readonly path: string;
  /** The content's hash, as the hub's ETag says it. */
  readonly blob: string;
  readonly sizeBytes: number;
}

/**
 * A repository's part of the cache: `refs/<revision>` holds a commit, `snapshots/<commit>/<path>` links to
 * `blobs/<hash>`.
 */
export class RepositoryCache {
  readonly #folder: string;

  /** @param folder such as `datasets--owner--name` in the cache's directory */
  constructor(folder: string) {
    this.#folder = folder;
  }

  snapshot(commit: string): string {
    return join(this.#folder, 'snapshots', commit);
  }

  /** The commit a revision stood for when it was last asked for, if its snapshot is here. */
  async commitOf(revision: string): Promise<string | null> {
    try {
      const commit = (await readFile(join(this.#folder, 'refs', revision), 'utf8')).trim();
      return (await exists(this.snapshot(commit))) ? commit : null;
    } catch {
      return null;
    }
  }

  async setCommit(revision: string, commit: string): Promise<void> {
    const path = join(this.#folder, 'refs', revision);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, commit);
  }

  /** Paths of the files of a snapshot that are here. */
  async files(commit: string): Promise<string[]> {
    const root = this.snapshot(commit);
    const entries = await readdir(root, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
      .sort();
  }

  /**
   * Makes sure that a file of a snapshot is here, from `open` if it is not. The content is written aside and renamed
   * when it is whole, so a crash or a second process leaves no half of a file behind.
   *
   * @throws Error when the content has another size than was said
   */
  async add(commit: string, file: CachedName, open: () => Promise<Blob>): Promise<void> {
    const pointer = join(this.snapshot(commit), file.path);
    if (await exists(pointer)) return;
    const blob = join(this.#folder, 'blobs', file.blob);
    if (!(await exists(blob))) await this.#download(blob, file, open);
    await mkdir(dirname(pointer), { recursive: true });
    await rm(pointer, { force: true });
    await symlink(relative(dirname(pointer), blob), pointer).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    });
  }

  async #download(blob: string, file: CachedName, open: () => Promise<Blob>): Promise<void> {
    const incomplete = `${blob}.${process.pid}.incomplete`;
    await mkdir(dirname(blob), { recursive: true });
    try {
      if (file.sizeBytes === 0) {
        await writeFile(incomplete, '');
      } else {
        const content = (await open()).stream();
        await pipeline(Readable.fromWeb(content), createWriteStream(incomplete));
      }
      const { size } = await stat(incomplete);
      if (size !== file.sizeBytes) {
        throw new Error(`${file.path}: ${size} bytes came, ${file.sizeBytes} were announced`);
      }
      await rename(incomplete, blob);
    } finally {
      await rm(incomplete, { force: true });
    }
  }
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
