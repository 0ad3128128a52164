import { lstatSync, mkdirSync, realpathSync } from 'node:fs';
import module from 'node:module';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

/**
 * Keeps what Node compiles for the next start, and for the threads and child processes of this one.
 *
 * What lies in that folder is run as it is, so it is one that nobody else can write to: Node's own choice is a
 * predictable name in the folder for temporary files. Without such a folder nothing is kept.
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

/** A folder's real path, the folder made where it is missing; null where someone else could change what is in it. */
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

/** Tells whether nobody but its owner, us and root can replace the contents of a folder. */
function isTrusted(folder) {
  const { uid, mode } = lstatSync(folder);
  const isSticky = (mode & 0o1000) !== 0;
  return (uid === 0 || uid === process.getuid()) && ((mode & 0o002) === 0 || isSticky);
}
