import { createHash, randomUUID } from 'node:crypto';
import {
  mkdir,
  readdir,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
  open as openFile,
} from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { exists, readWhole } from '../files.ts';
import { isCommit, type CachedName } from './names.ts';

/**
 * Cache of one repository in the layout of `huggingface_hub`: `refs/<revision>` holds a commit, and
 * `snapshots/<commit>/<path>` links to `blobs/<hash>`.
 *
 * `downloadFileToCacheDir` of `@huggingface/hub` keeps the same layout, but checks neither size nor hash, takes half a
 * file for a whole one, shares one `.incomplete` file between processes, asks for each file twice, and prints to
 * standard output. A run must not train on half a file, so the cache is ours.
 */
export class RepositoryCache {
  readonly #folder: string;

  /** @param folder folder of the repository in the cache, such as `datasets--owner--name` */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Directory of a commit's files. */
  snapshot(commit: string): string {
    return join(this.#folder, 'snapshots', commit);
  }

  /** Commit that a revision named when the hub was last asked; null if its snapshot is not in the cache. */
  async commitOf(revision: string): Promise<string | null> {
    try {
      const ref = await readWhole(join(this.#folder, 'refs', revision));
      const commit = ref.toString().trim();
      return isCommit(commit) && (await exists(this.snapshot(commit))) ? commit : null;
    } catch {
      return null;
    }
  }

  /** Records the commit that a revision names. */
  async setCommit(revision: string, commit: string): Promise<void> {
    const path = join(this.#folder, 'refs', revision);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, commit);
  }

  /** Paths of a snapshot's files that are in the cache. */
  async files(commit: string): Promise<string[]> {
    const root = this.snapshot(commit);
    const entries = await readdir(root, { recursive: true, withFileTypes: true });
    return entries
      .filter((entry) => !entry.isDirectory())
      .map((entry) => relative(root, join(entry.parentPath, entry.name)).replaceAll('\\', '/'))
      .sort();
  }

  /**
   * Adds a file of a snapshot, unless it is in the cache.
   *
   * The content is written to a file of its own and renamed when it is whole, so neither a crash nor a second process
   * leaves half a file. A cached file of another size than listed counts as missing.
   *
   * @param commit commit id, checked by `isCommit`
   * @param file listed file, checked by `isSafeName`
   * @throws Error if the content has another size or hash than listed
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
      // The file is there before the transfer begins: one that a stream still opened would come after it is removed.
      const target = (await openFile(incomplete, 'wx')).createWriteStream({ flush: true });
      await pipeline(content, (chunks) => checked(file, chunks), target);
      await rename(incomplete, blob);
    } finally {
      await rm(incomplete, { force: true });
    }
  }
}

/**
 * Passes the content of a file through. Its name is its hash: 64 digits of SHA-256 for a file that is stored outside
 * git, else 40 of a git blob's id.
 *
 * @throws Error as soon as there is too much of it, or at the end if size or hash differ
 * @see git-scm.com/book/en/v2/Git-Internals-Git-Objects
 */
async function* checked(
  { path, blob, sizeBytes }: CachedName,
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const isBlobId = blob.length !== 64;
  const hash = createHash(isBlobId ? 'sha1' : 'sha256');
  if (isBlobId) hash.update(`blob ${sizeBytes}\0`);
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.byteLength;
    if (size > sizeBytes)
      throw new Error(`${path}: more came than the ${sizeBytes} bytes announced`);
    hash.update(chunk);
    yield chunk;
  }
  if (size < sizeBytes) throw new Error(`${path}: ${size} bytes came, ${sizeBytes} were announced`);
  const digest = hash.digest('hex');
  if (digest !== blob) throw new Error(`${path}: its content has the hash ${digest}, not ${blob}`);
}

async function isWhole(path: string, { sizeBytes }: CachedName): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile() && found.size === sizeBytes,
    () => false,
  );
}
