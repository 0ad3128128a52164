import { hash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join } from 'node:path';
import { CxmindError } from '../errors.ts';
import { localPath, userCacheFolder } from '../files.ts';

const libraryNames: Readonly<Partial<Record<NodeJS.Platform, string>>> = {
  linux: 'libonnxruntime.so.1',
  darwin: 'libonnxruntime.1.dylib',
  win32: 'onnxruntime.dll',
};

/** The npm package of the CUDA 13 provider, in the release of onnxruntime-node. */
export const CUDA_PACKAGE = 'com.github.asus4.onnxruntime.linux-x64-gpu';
const CUDA_LIBRARIES = [
  'libonnxruntime_providers_cuda.so',
  'libonnxruntime_providers_shared.so',
] as const;

/**
 * Path of the ONNX Runtime library.
 *
 * It is the one that `CXMIND_ONNXRUNTIME` names, or else that of the `onnxruntime-node` package, beside the CUDA provider
 * where one is installed.
 *
 * @throws DEVICE_MISSING when the named file does not exist, or the package has no build for this platform
 *   and processor
 */
export function libraryPath(): string {
  const named = process.env['CXMIND_ONNXRUNTIME'];
  if (named !== undefined && named !== '') {
    const chosen = localPath(named);
    if (existsSync(chosen)) return chosen;
    throw new CxmindError(
      'DEVICE_MISSING',
      `CXMIND_ONNXRUNTIME names ${chosen}, which does not exist: give it the path of libonnxruntime, or unset it`,
    );
  }
  const library = packagedLibrary();
  const folder = dirname(library);
  if (CUDA_LIBRARIES.some((name) => existsSync(join(folder, name)))) return library;
  const provider = cudaProvider();
  return provider === null ? library : linkedTogether([library, ...provider]);
}

function packagedLibrary(): string {
  const name = libraryNames[process.platform];
  const manifest = createRequire(import.meta.url).resolve('onnxruntime-node/package.json');
  const bin = join(dirname(manifest), 'bin');
  const [napi] = readdirSync(bin).filter((entry) => entry.startsWith('napi-v'));
  const folder = join(bin, napi ?? '', process.platform, process.arch);
  if (name === undefined || !existsSync(join(folder, name))) {
    throw new CxmindError(
      'DEVICE_MISSING',
      `onnxruntime-node has no library for ${process.platform} on ${process.arch} (looked in ${folder})`,
    );
  }
  return join(folder, name);
}

/** Files of the CUDA provider, if its package is installed beside cxmind or in the working folder. */
function cudaProvider(): string[] | null {
  if (process.platform !== 'linux' || process.arch !== 'x64') return null;
  for (const from of [import.meta.url, join(process.cwd(), 'package.json')]) {
    try {
      const manifest = createRequire(from).resolve(`${CUDA_PACKAGE}/package.json`);
      return CUDA_LIBRARIES.map((name) => join(dirname(manifest), 'Plugins/Linux/x64', name));
    } catch {
      // It is not installed there.
    }
  }
  return null;
}

/**
 * Links files together in one folder; returns the path of the first.
 *
 * ONNX Runtime looks for its providers in its own folder. The folder of links is in the user's cache, and made once.
 */
function linkedTogether(files: readonly [string, ...string[]]): string {
  const key = hash('sha256', files.join('\n')).slice(0, 16);
  const folder = join(userCacheFolder(), 'cxmind', `onnxruntime-${key}`);
  const first = join(folder, basename(files[0]));
  if (existsSync(first)) return first;
  mkdirSync(dirname(folder), { recursive: true });
  const partial = mkdtempSync(`${folder}.`);
  for (const file of files) symlinkSync(file, join(partial, basename(file)));
  try {
    renameSync(partial, folder);
  } catch (error) {
    rmSync(partial, { recursive: true });
    if (!existsSync(first)) throw error;
  }
  return first;
}
