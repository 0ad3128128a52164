// Makes a folder that runs cxmind on a machine of this platform without network, npm or Node, and packs it:
//
//   npm run bundle                  cxmind-VERSION-PLATFORM-ARCH.tgz in the working directory
//   npm run bundle -- DIRECTORY     the folder itself, unpacked
//
// It holds the build, the configs, the examples, the pinned Node, and the installed packages except those for
// development, without their libraries for other platforms. An ONNX Runtime provider that was installed is included.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bytesIn, foreignFolders, megabytes } from './platform.js';

/** Parts of a checkout that belong to a bundle, besides packages. */
const own = ['bin', 'configs', 'dist', 'examples', 'LICENSE', 'README.md', 'package.json'];

/** Starts cxmind on the Node in the folder, from wherever it is called and by whatever link. */
const starter = `#!/bin/sh
here=$(dirname "$(readlink -f "$0")")
exec "$here/node_modules/node/bin/node" --disable-sigusr1 "$here/bin/cxmind.js" "$@"
`;

const root = join(dirname(fileURLToPath(import.meta.url)), '../..');
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const name = `cxmind-${version}-${process.platform}-${process.arch}`;

const [given] = process.argv.slice(2);
if (given === undefined) packedInto(resolve(`${name}.tgz`));
else makeFolder(resolve(given));

/** @param {string} archive */
function packedInto(archive) {
  const parent = mkdtempSync(join(tmpdir(), 'cxmind-bundle-'));
  try {
    makeFolder(join(parent, name));
    execFileSync('tar', ['-C', parent, '-czf', archive, name]);
    console.log(`packed into ${archive}`);
  } finally {
    rmSync(parent, { recursive: true });
  }
}

/** @param {string} folder new */
function makeFolder(folder) {
  if (existsSync(folder)) fail(`${folder} exists already`);
  if (!existsSync(join(root, 'dist'))) fail('there is no build: npm run bundle makes one before');
  for (const path of own) cpSync(join(root, path), join(folder, path), { recursive: true });
  for (const path of packagePaths()) copyPackage(path, join(folder, path));
  for (const foreign of foreignFolders(join(folder, 'node_modules'), process)) {
    rmSync(join(folder, 'node_modules', foreign), { recursive: true });
  }
  // These packages only served to install the binary.
  rmSync(join(folder, 'node_modules/node/node_modules'), { recursive: true, force: true });
  writeFileSync(join(folder, 'cxmind'), starter);
  chmodSync(join(folder, 'cxmind'), 0o755);
  console.log(`${name}: ${megabytes(bytesIn(folder))}; ./cxmind in it starts cxmind`);
}

/**
 * Folders of the installed packages, without those for development alone, by npm's own record.
 *
 * @returns {string[]}
 */
function packagePaths() {
  const record = join(root, 'node_modules/.package-lock.json');
  if (!existsSync(record)) fail('nothing is installed: npm ci does it');
  const { packages } = JSON.parse(readFileSync(record, 'utf8'));
  return Object.entries(packages).flatMap(([path, { dev }]) =>
    dev === true || !existsSync(join(root, path)) ? [] : [path],
  );
}

/**
 * Copies a package without the packages that it holds, which have a path of their own.
 *
 * @param {string} path from the root
 * @param {string} target
 */
function copyPackage(path, target) {
  const source = join(root, path);
  cpSync(source, target, {
    recursive: true,
    filter: (file) => !relative(source, file).split(sep).includes('node_modules'),
  });
}

/** @param {string} reason @returns {never} */
function fail(reason) {
  console.error(`bundle: ${reason}`);
  process.exit(1);
}
