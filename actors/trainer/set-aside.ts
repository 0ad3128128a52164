import { existsSync } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { writing } from '../../src/files.ts';

/**
 * Moves what an earlier run left in a folder into a folder `before-N` inside it, where nothing looks for it.
 *
 * @param names of files and folders, those that are not there left out
 * @returns the new folder; null where there was nothing to keep
 */
export async function setAside(folder: string, names: readonly string[]): Promise<string | null> {
  const found = names.filter((name) => existsSync(join(folder, name)));
  if (found.length === 0) return null;
  let count = 1;
  while (existsSync(join(folder, `before-${count}`))) count++;
  const aside = join(folder, `before-${count}`);
  await writing(aside, async () => {
    await mkdir(aside);
    for (const name of found) await rename(join(folder, name), join(aside, name));
  });
  return aside;
}
