import { randomUUID } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { readWhole } from '../files.ts';
import { ContentHash } from './content-hash.ts';
import { isCommit, type CachedName } from './names.ts';

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
      const ref = await readWhole(join(this.#folder, 'refs', revision));
      const commit = ref.toString().trim();
      return isCommit(commit) && (await exists(this.snapshot(commit))) ? commit : null;
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
   * when it is whole, so a crash or a second process leaves no half of a file behind; what is here with another size
   * than was said counts as such a half.
   *
   * @param commit and `file` are safe names, by `isCommit` and `isSafeName`
   * @throws Error when the content has another size or hash than was said
   */
  async add(commit: string, file: CachedName, open: () => Promise<Blob>): Promise<void> {
    const pointer = join(this.snapshot(commit), file.path);
    if (await isWhole(pointer, file)) return;
    const blob = join(this.#folder, 'blobs', file.blob);
    if (!(await isWhole(blob, file))) await this.#download(blob, file, open);
    await mkdir(dirname(pointer), { recursive: true });
    await rm(pointer, { force: true });
    await symlink(relative(dirname(pointer), blob), pointer).catch((error: unknown) => {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    });
  }

  async #download(blob: string, file: CachedName, open: () => Promise<Blob>): Promise<void> {
    const incomplete = `${blob}.${randomUUID()}.incomplete`;
    await mkdir(dirname(blob), { recursive: true });
    try {
      const content =
        file.sizeBytes === 0 ? Readable.from([]) : Readable.fromWeb((await open()).stream());
      const target = createWriteStream(incomplete, { flags: 'wx', flush: true });
      await pipeline(content, (chunks) => checked(file, chunks), target);
      await rename(incomplete, blob);
    } finally {
      await rm(incomplete, { force: true });
    }
  }
}

/** The content of a file as it comes. @throws Error as soon as it is too much, or at the end is not what was said */
async function* checked(
  { path, blob, sizeBytes }: CachedName,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const hash = new ContentHash(blob, sizeBytes);
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size > sizeBytes)
      throw new Error(`${path}: more came than the ${sizeBytes} bytes announced`);
    hash.update(chunk);
    yield chunk;
  }
  if (size < sizeBytes) throw new Error(`${path}: ${size} bytes came, ${sizeBytes} were announced`);
  const digest = hash.digest();
  if (digest !== blob) throw new Error(`${path}: its content has the hash ${digest}, not ${blob}`);
}

async function isWhole(path: string, { sizeBytes }: CachedName): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile() && found.size === sizeBytes,
    () => false,
  );
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
