/**
 * The execution providers of ONNX Runtime, and advice for those that do not load.
 *
 *     onnxruntime-node 1.29   Windows    Linux x64          Linux arm64    macOS
 *     cpu                     yes        yes                yes            yes
 *     webgpu                  yes        yes                no             yes
 *     cuda                    no         further package    no             no
 *
 * @see https://www.npmjs.com/package/onnxruntime-node, as of November 2026
 */
import { asCxmindError, CxmindError } from '../errors.ts';
import { CUDA_PACKAGE } from './library.ts';
import type { Native } from './native.ts';

/** Execution providers of ONNX Runtime. */
export const providers = ['cpu', 'webgpu', 'cuda'] as const;
export type Provider = (typeof providers)[number];

/** Options of a provider by name, as its documentation spells them. */
export type ProviderSettings = Readonly<Record<string, string>>;

/** Advice for a provider that does not load. */
const wayOut: Readonly<Record<Exclude<Provider, 'cpu'>, string>> = {
  cuda:
    "install ONNX Runtime's provider for Linux x64 with `npm install --no-save " +
    `${CUDA_PACKAGE}@0.4.9\` (CUDA 13), or with \`ONNXRUNTIME_NODE_INSTALL=cuda12 ` +
    'node node_modules/onnxruntime-node/script/install.js` (CUDA 12)',
  webgpu:
    "it needs a GPU and its driver's Vulkan (Linux; the loader is libvulkan.so.1), Direct3D 12 (Windows) " +
    'or Metal (macOS)',
};

/**
 * Adds a provider to the options of a session. The CPU's is always there.
 *
 * @throws DEVICE_MISSING when the provider does not load
 */
export function appendProvider(
  native: Native,
  options: bigint,
  provider: Provider,
  settings: ProviderSettings = {},
): void {
  if (provider === 'cpu') return;
  const ort = native.functions;
  const [names, values] = [Object.keys(settings), Object.values(settings)];
  try {
    switch (provider) {
      case 'webgpu':
        native.check(
          ort.SessionOptionsAppendExecutionProvider(options, 'WebGPU', names, values, names.length),
          'WebGPU',
        );
        return;
      case 'cuda': {
        const cuda = native.out('CUDA', (slot) => ort.CreateCUDAProviderOptions(slot));
        try {
          native.check(ort.UpdateCUDAProviderOptions(cuda, names, values, names.length), 'CUDA');
          native.check(ort.SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda), 'CUDA');
        } finally {
          ort.ReleaseCUDAProviderOptions(cuda);
        }
        return;
      }
      default:
        provider satisfies never;
    }
  } catch (error) {
    throw missing(provider, error);
  }
}

/** Packages of NVIDIA's Debian repository, by the libraries that they contain and the release of CUDA. */
const cudaPackages: readonly (readonly [
  library: RegExp,
  packageOf: (release: string) => string,
])[] = [
  [/^libcudnn/, () => 'libcudnn9-cuda-13'],
  [/^lib(cublas|cublasLt|cudart|cufft|curand|nvrtc)\./, (release) => `cuda-libraries-${release}-0`],
];

/** Advice for a library that the system did not find, if ONNX Runtime's text names one. */
function missingLibrary(said: string): string | undefined {
  const name = /\b(lib[\w.+-]+\.so[.\d]*): cannot open shared object/.exec(said)?.[1];
  if (name === undefined || name.startsWith('libonnxruntime')) return undefined;
  const known = cudaPackages.find(([library]) => library.test(name))?.[1];
  const release = /\.so\.(\d+)/.exec(name)?.[1] ?? '13';
  const install =
    known === undefined ? '' : `install it (\`apt-get install ${known(release)}\`) and `;
  return `${name} was not found; ${install}put its folder on LD_LIBRARY_PATH`;
}

/** A DEVICE_MISSING with ONNX Runtime's reason and the way out, in one line. */
function missing(device: Exclude<Provider, 'cpu'>, cause: unknown): CxmindError {
  const said = asCxmindError(cause).message.replace(/\s+/g, ' ');
  const library = device === 'cuda' ? missingLibrary(said) : undefined;
  const message = library ?? `${wayOut[device]} (${said})`;
  return new CxmindError('DEVICE_MISSING', `device ${device}: ${message}`, {
    detail: { device, said },
    cause,
  });
}
