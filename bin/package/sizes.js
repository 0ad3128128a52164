// Prints the sizes of the largest packages of an installation, and of the libraries that only other platforms could use.
// npm runs it after every change of node_modules in a checkout, but not where cxmind is a dependency.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bytesIn, foreignFolders, megabytes } from './platform.js';

/** The largest packages, by names that a reader knows. */
const parts = {
  'ONNX Runtime': ['onnxruntime-node'],
  'its CUDA provider': ['com.github.asus4.onnxruntime.linux-x64-gpu'],
  Node: ['node'],
  ZeroMQ: ['zeromq'],
  pictures: ['sharp', '@img', '@cornerstonejs'],
};

const modules = join(dirname(fileURLToPath(import.meta.url)), '../../node_modules');

try {
  const brought = Object.entries(parts)
    .map(([name, packages]) => [name, packages.filter((one) => existsSync(join(modules, one)))])
    .filter(([, packages]) => packages.length > 0)
    .map(([name, packages]) => {
      const bytes = packages.reduce((sum, one) => sum + bytesIn(join(modules, one)), 0);
      return `${name} ${megabytes(bytes)}`;
    });
  const foreign = foreignFolders(modules, process).reduce(
    (sum, folder) => sum + bytesIn(join(modules, folder)),
    0,
  );
  console.log(`cxmind: ${brought.join(', ')}`);
  if (foreign > 0) {
    console.log(
      `cxmind: ${megabytes(foreign)} of it is for other platforms; npm run slim removes it`,
    );
  }
} catch {
  // An installation does not fail because its sizes cannot be told.
}
