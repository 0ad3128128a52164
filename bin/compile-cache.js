import { lstatSync, mkdirSync, realpathSync } from 'node:fs';
import module from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/**
 * Keeps what Node compiles for the next start, and for the threads and child processes of this one.
 *
 * Code in the folder of the cache is run unchecked, so it is a folder that nobody else can write to. Node's default is
 * none: a predictable name among temporary files. Without such a folder nothing is kept.
 */
export function keepCompiledCode() {
  if (process.env.NODE_COMPILE_CACHE !== undefined) return;
  const folder = ownFolder(join(cacheHome(), 'cxmind', 'compiled'));
  if (folder === null || module.enableCompileCache(folder).directory === undefined) return;
  process.env.NODE_COMPILE_CACHE = folder;
}

function cacheHome() {
  // As the base directory specification has it, a relative path is ignored.
  const { XDG_CACHE_HOME: given } = process.env;
  return given?.startsWith('/') === true ? given : join(homedir(), '.cache');
}

/** Makes a folder where it is missing. @returns its real path; null if others could change its content */
function ownFolder(path) {
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const folder = realpathSync(path);
    const isOwn = (lstatSync(folder).mode & 0o077) === 0 && ancestry(folder).every(isTrusted);
    return isOwn ? folder : null;
  } catch {
    return null;
  }
}

function ancestry(folder) {
  const parent = dirname(folder);
  return parent === folder ? [folder] : [folder, ...ancestry(parent)];
}

/** Tells whether only this user and root can replace the content of a folder. */
function isTrusted(folder) {
  const { uid, mode } = lstatSync(folder);
  const isSticky = (mode & 0o1000) !== 0;
  return (uid === 0 || uid === process.getuid()) && ((mode & 0o002) === 0 || isSticky);
}
