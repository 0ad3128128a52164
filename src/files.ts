/**
 * Files and folders of this machine, as every part of the system reads and writes them.
 *
 * A read refuses devices, pipes and pointers of Git LFS. An atomic write fills a hidden name beside the target and
 * renames it, so that a crash leaves either the old content or the new one.
 */
import {
  closeSync,
  constants,
  createReadStream,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  type Stats,
} from 'node:fs';
import {
  mkdir,
  open,
  readdir,
  rename,
  rm,
  stat,
  writeFile,
  type FileHandle,
} from 'node:fs/promises';
import { homedir } from 'node:os';
import * as path from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { attempt, CxmindError, isSystemError, refusalText } from './errors.ts';

/** Bytes as a person reads them: `512 B`, `1.4 MiB`. */
export function sizeText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]!}`;
}

/**
 * Runs work that writes a file or a directory, and names that in the error where the operating system refuses.
 *
 * @throws IO_FAILED with path, size and reason: no space left, a read-only or vanished folder, no permission
 */
export async function writing<T>(
  file: string,
  write: () => Promise<T>,
  sizeBytes?: number,
): Promise<T> {
  try {
    return await write();
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    const size = sizeBytes === undefined ? '' : ` (${sizeText(sizeBytes)})`;
    throw new CxmindError('IO_FAILED', `cannot write ${file}${size}: ${refusalText(cause)}`, {
      cause,
      detail: { file, reason: cause.code ?? '' },
    });
  }
}

/**
 * Reads a text file up to one byte more than its reader takes, since a device or a pipe may have no end.
 *
 * @param maxBytes most bytes that the reader takes
 */
export function readText(file: string, maxBytes: number): Promise<string> {
  return text(createReadStream(file, { end: maxBytes }));
}

/** Flags of opening: a pipe without a writer would block for ever. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;
/** Largest file that is read whole: the longest string of V8, and more than any picture. */
const MAX_WHOLE_BYTES = 2 ** 29 - 24;
/** Beginning of a file that Git LFS has not fetched. It has a few lines. */
const LFS_POINTER = Buffer.from('version https://git-lfs.github.com/spec/');
const MAX_POINTER_BYTES = 1024;

/**
 * A path of this machine from a user's text: `~` is the home directory, and `file://` is taken off.
 *
 * A URL that is no such path stays as it is, for the error that names it.
 */
export function localPath(name: string): string {
  if (/^file:\/\//i.test(name)) return attempt(() => fileURLToPath(name)) ?? name;
  return name === '~' || /^~[/\\]/.test(name) ? path.join(homedir(), name.slice(1)) : name;
}

/** The user's cache folder: `XDG_CACHE_HOME`, or `.cache` in the home directory. */
export function userCacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const given = environment['XDG_CACHE_HOME']?.trim() ?? '';
  return given === '' ? path.join(homedir(), '.cache') : localPath(given);
}

/**
 * Opens a regular file that a user names; a device may have no end, and a pipe no beginning.
 *
 * @throws Error whose message is the reason alone, such as `no such file`; its cause is the operating system's error
 */
export async function openToRead(file: string): Promise<FileHandle> {
  const handle = await open(file, READ_FLAGS).catch(refuse);
  try {
    const head = Buffer.alloc(LFS_POINTER.length);
    if (mayBePointer(await handle.stat())) await handle.read(head, 0, head.length, 0);
    refusePointer(head);
    return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** `openToRead` on the calling thread; gives a file descriptor. */
export function openToReadSync(file: string): number {
  const descriptor = tryOpen(file);
  try {
    const head = Buffer.alloc(LFS_POINTER.length);
    if (mayBePointer(fstatSync(descriptor))) readSync(descriptor, head, 0, head.length, 0);
    refusePointer(head);
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/** Reads all bytes of a file that a user names. It throws as `openToRead`, and for a file of more than 512 MiB. */
export async function readWhole(file: string): Promise<Buffer> {
  await using handle = await openToRead(file);
  checkWholeSize(await handle.stat());
  return await handle.readFile();
}

/** `readWhole` on the calling thread. */
export function readWholeSync(file: string): Buffer {
  const descriptor = openToReadSync(file);
  try {
    checkWholeSize(fstatSync(descriptor));
    return readFileSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function tryOpen(file: string): number {
  try {
    return openSync(file, READ_FLAGS);
  } catch (error) {
    return refuse(error);
  }
}

const refusals: Readonly<Record<string, string>> = {
  ENOENT: 'no such file',
  ENOTDIR: 'no such file',
  EACCES: 'no permission to read it',
  ENXIO: 'a socket or device, not a file',
};

function refuse(cause: unknown): never {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
  throw new Error(refusals[code] ?? refusalText(cause), { cause });
}

/** Tells by its size whether a file may be a pointer of Git LFS. @throws for what is no file */
function mayBePointer(stats: Stats): boolean {
  if (!stats.isFile()) {
    const kind = stats.isDirectory() ? 'a directory' : stats.isFIFO() ? 'a pipe' : 'a device';
    throw new Error(`${kind}, not a file`);
  }
  return stats.size >= LFS_POINTER.length && stats.size <= MAX_POINTER_BYTES;
}

function refusePointer(head: Uint8Array): void {
  if (!LFS_POINTER.equals(head)) return;
  throw new Error('a Git LFS pointer, not the file itself: run "git lfs pull" where it was cloned');
}

/** The stats of a file, once it is small enough to be read whole. */
export function checkWholeSize(stats: Stats): Stats {
  if (stats.size <= MAX_WHOLE_BYTES) return stats;
  throw new Error(`${stats.size} bytes, more than the ${MAX_WHOLE_BYTES} that are read at once`);
}

/** Tells whether a file or directory exists. */
export async function exists(file: string): Promise<boolean> {
  return (await stat(file).catch(() => null)) !== null;
}

/**
 * Checks that a directory to write to is empty, or does not exist yet.
 *
 * @throws CONFIG_INVALID
 */
export async function refuseOccupied(directory: string): Promise<void> {
  const isFree = await readdir(directory).then(
    (names) => names.length === 0,
    (error: unknown) => isSystemError(error) && error.code === 'ENOENT',
  );
  if (isFree) return;
  throw new CxmindError(
    'CONFIG_INVALID',
    `${directory} exists and is not an empty directory; name another one`,
    {
      detail: { directory },
    },
  );
}

/** Tells whether a path leads to a regular file; links are followed. */
export async function isFile(file: string): Promise<boolean> {
  return (await stat(file).catch(() => null))?.isFile() === true;
}

/** Waits until a file or a directory's entries are on the disk. */
async function sync(file: string): Promise<void> {
  await using handle = await open(file, 'r');
  await handle.sync();
}

async function syncTree(directory: string): Promise<void> {
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const file = path.join(directory, entry.name);
    await (entry.isDirectory() ? syncTree(file) : sync(file));
  }
  await sync(directory);
}

/**
 * Writes a directory so that a crash at any moment leaves either the old one or the new one whole.
 *
 * The files are written into `.<name>.partial` beside the target, flushed to the disk, and renamed into place. An older
 * directory is set aside as `.<name>.replaced` for that moment and removed afterwards. The next call repairs what a crash
 * left under those two names: it moves back a directory without a successor, and removes everything else. A target has
 * one writer at a time.
 *
 * @param write fills the directory it is given; when it throws, nothing has changed
 * @throws IO_FAILED as `writing`; and what `write` throws
 */
export function writeDirectoryAtomically(
  target: string,
  write: (directory: string) => Promise<void>,
): Promise<void> {
  return writing(target, () => replaceDirectory(target, write));
}

/** Repairs the directories in a folder whose writing by `writeDirectoryAtomically` a crash cut off. */
export async function putDirectoriesRight(parent: string): Promise<void> {
  for (const entry of await readdir(parent)) {
    const [, name] = /^\.(.+)\.(?:partial|replaced)$/.exec(entry) ?? [];
    if (name !== undefined) await putRight(parent, name);
  }
}

async function putRight(parent: string, name: string): Promise<void> {
  const { partial, replaced, final } = stagesOf(parent, name);
  if ((await exists(replaced)) && !(await exists(final))) await rename(replaced, final);
  await rm(replaced, { recursive: true, force: true });
  await rm(partial, { recursive: true, force: true });
}

/** Names of a directory while it is written, while it is replaced, and in the end. */
function stagesOf(parent: string, name: string): Record<'partial' | 'replaced' | 'final', string> {
  return {
    partial: path.join(parent, `.${name}.partial`),
    replaced: path.join(parent, `.${name}.replaced`),
    final: path.join(parent, name),
  };
}

async function replaceDirectory(
  target: string,
  write: (directory: string) => Promise<void>,
): Promise<void> {
  const parent = path.dirname(path.resolve(target));
  const name = path.basename(path.resolve(target));
  const { partial, replaced, final } = stagesOf(parent, name);

  await mkdir(parent, { recursive: true });
  await putRight(parent, name);
  await mkdir(partial);
  try {
    await write(partial);
    await syncTree(partial);
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
  if (await exists(final)) await rename(final, replaced);
  await rename(partial, final);
  await sync(parent);
  await rm(replaced, { recursive: true, force: true });
}

/**
 * Writes a file so that readers find either the old content or the new one whole. It may be lost when the machine
 * crashes.
 */
export async function replaceFile(target: string, content: string): Promise<void> {
  const partial = path.join(path.dirname(target), `.${path.basename(target)}.partial`);
  await writeFile(partial, content);
  await rename(partial, target);
}

/**
 * Writes a file so that a crash leaves either the old content or the new one whole.
 *
 * @param mode its permissions, less what the process's mask takes
 * @throws IO_FAILED as `writing`
 */
export async function writeFileAtomically(
  target: string,
  content: string | Uint8Array,
  mode = 0o666,
): Promise<void> {
  const parent = path.dirname(path.resolve(target));
  const partial = path.join(parent, `.${path.basename(target)}.partial`);
  const write = async (): Promise<void> => {
    await mkdir(parent, { recursive: true });
    await writeFile(partial, content, { mode, flush: true });
    await rename(partial, path.resolve(target));
    await sync(parent);
  };
  await writing(target, write, Buffer.byteLength(content));
}

/** Writes a value as JSON for people to read, as `writeFileAtomically` writes. */
export function writeJson(target: string, value: unknown, mode?: number): Promise<void> {
  return writeFileAtomically(target, `${JSON.stringify(value, null, 2)}\n`, mode);
}
