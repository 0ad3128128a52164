import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import * as path from 'node:path';

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

/** Waits until a file or a directory's entries are on the disk. */
export async function sync(file: string): Promise<void> {
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
 * The files are written into `.<name>.partial` beside the target, flushed to the disk, and renamed into
 * place; a directory that stood there before is set aside as `.<name>.replaced` for that moment and
 * removed afterwards. What a crash left under those two names is put right by the next call: a
 * directory set aside without a successor goes back, everything else is removed. One writer per
 * target at a time.
 *
 * @param write fills the directory it is given; when it throws, nothing has changed
 */
export async function writeDirectoryAtomically(
  target: string,
  write: (directory: string) => Promise<void>,
): Promise<void> {
  const parent = path.dirname(path.resolve(target));
  const name = path.basename(path.resolve(target));
  const partial = path.join(parent, `.${name}.partial`);
  const replaced = path.join(parent, `.${name}.replaced`);
  const final = path.join(parent, name);

  await mkdir(parent, { recursive: true });
  if ((await exists(replaced)) && !(await exists(final))) await rename(replaced, final);
  await rm(replaced, { recursive: true, force: true });
  await rm(partial, { recursive: true, force: true });

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

/** Writes a file so that a crash leaves either the old content or the new one whole. */
export async function writeFileAtomically(
  target: string,
  content: string | Uint8Array,
): Promise<void> {
  const parent = path.dirname(path.resolve(target));
  const partial = path.join(parent, `.${path.basename(target)}.partial`);
  await mkdir(parent, { recursive: true });
  {
    await using handle = await open(partial, 'w');
    await handle.writeFile(content);
    await handle.sync();
  }
  await rename(partial, path.resolve(target));
  await sync(parent);
}
