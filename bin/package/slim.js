// Removes the libraries for other platforms from node_modules; `npm ci` brings them back.
import { rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bytesIn, foreignFolders, megabytes } from './platform.js';

const modules = join(dirname(fileURLToPath(import.meta.url)), '../../node_modules');

const folders = foreignFolders(modules, process);
if (folders.length === 0) console.log('node_modules has nothing for other platforms');
for (const folder of folders) {
  const path = join(modules, folder);
  console.log(`${megabytes(bytesIn(path)).padStart(6)}  node_modules/${folder}`);
  rmSync(path, { recursive: true });
}
