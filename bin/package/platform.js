// Libraries that packages bring for other platforms, and their sizes. npm leaves out whole packages by platform, but not
// parts of a package: onnxruntime-node has its library for five platforms, zeromq for six.
import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Folders of packages that are laid out as PLATFORM/ARCHITECTURE. */
const layouts = ['onnxruntime-node/bin/napi-v6', 'zeromq/build'];

/**
 * Folders under `node_modules` that hold libraries of other platforms.
 *
 * @param {string} modules path of `node_modules`
 * @param {{ platform: string, arch: string }} machine in the words of Node's `process`
 * @returns {string[]} paths within it, with forward slashes
 */
export function foreignFolders(modules, { platform, arch }) {
  return layouts.flatMap((layout) =>
    foldersIn(join(modules, layout)).flatMap((os) => {
      if (os !== platform) return [`${layout}/${os}`];
      const others = foldersIn(join(modules, layout, os)).filter((name) => name !== arch);
      return others.map((name) => `${layout}/${os}/${name}`);
    }),
  );
}

/**
 * Bytes of the files in a folder. A file with several names counts once.
 *
 * @param {string} folder counts nothing where it is absent
 * @param {Set<number>} [seen] inodes that were counted
 * @returns {number}
 */
export function bytesIn(folder, seen = new Set()) {
  if (!existsSync(folder)) return 0;
  return readdirSync(folder, { withFileTypes: true }).reduce((sum, entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sum + bytesIn(path, seen);
    if (!entry.isFile()) return sum;
    const { ino, size } = lstatSync(path);
    if (seen.has(ino)) return sum;
    seen.add(ino);
    return sum + size;
  }, 0);
}

/** @param {number} bytes @returns {string} `283 MB` */
export function megabytes(bytes) {
  return `${Math.round(bytes / 1e6)} MB`;
}

/** @param {string} folder @returns {string[]} */
function foldersIn(folder) {
  if (!existsSync(folder)) return [];
  const entries = readdirSync(folder, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
