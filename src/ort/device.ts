import { asCxmindError, CxmindError } from '../errors.ts';
import { CUDA_PACKAGE } from './library.ts';
import type { Native } from './native.ts';

/** Where a graph runs. Tensors stay in the CPU's memory; a device copies them in and out at each run. */
export const devices = ['cpu', 'webgpu', 'cuda'] as const;
export type Device = (typeof devices)[number];

/** A device, or `auto`: the first of cuda, webgpu and cpu that loads. */
export type DeviceName = Device | 'auto';

/** Options of a provider by name, as its documentation spells them. */
export type ProviderSettings = Readonly<Record<string, string>>;

const wayOut: Readonly<Record<Exclude<Device, 'cpu'>, string>> = {
  cuda:
    "install ONNX Runtime's provider for Linux x64 with `npm install --no-save " +
    `${CUDA_PACKAGE}@0.4.9\` (CUDA 13), or with \`ONNXRUNTIME_NODE_INSTALL=cuda12 ` +
    'node node_modules/onnxruntime-node/script/install.js` (CUDA 12)',
  webgpu:
    "it needs a GPU and its driver's Vulkan (Linux; the loader is libvulkan.so.1), Direct3D 12 (Windows) " +
    'or Metal (macOS)',
};

/** The devices to try for a name, best first. */
export function candidates(name: DeviceName): readonly Device[] {
  return name === 'auto' ? ['cuda', 'webgpu', 'cpu'] : [name];
}

/**
 * Let a session run on a device; the CPU needs nothing.
 *
 * @param settings the provider's own options by name
 * @throws DEVICE_MISSING when the device's provider does not load
 */
export function appendProvider(
  native: Native,
  options: bigint,
  device: Device,
  settings: ProviderSettings = {},
): void {
  if (device === 'cpu') return;
  const f = native.functions;
  const [names, values] = [Object.keys(settings), Object.values(settings)];
  try {
    switch (device) {
      case 'webgpu':
        native.check(
          f.SessionOptionsAppendExecutionProvider(options, 'WebGPU', names, values, names.length),
          'WebGPU',
        );
        return;
      case 'cuda': {
        const cuda = native.out('CUDA', (slot) => f.CreateCUDAProviderOptions(slot));
        try {
          native.check(f.UpdateCUDAProviderOptions(cuda, names, values, names.length), 'CUDA');
          native.check(f.SessionOptionsAppendExecutionProvider_CUDA_V2(options, cuda), 'CUDA');
        } finally {
          f.ReleaseCUDAProviderOptions(cuda);
        }
        return;
      }
      default:
        device satisfies never;
    }
  } catch (error) {
    throw missing(device, error);
  }
}

/** Packages of NVIDIA's Debian repository by the libraries that they have, for the release that a name ends in. */
const cudaPackages: readonly (readonly [
  library: RegExp,
  packageOf: (release: string) => string,
])[] = [
  [/^libcudnn/, () => 'libcudnn9-cuda-13'],
  [/^lib(cublas|cublasLt|cudart|cufft|curand|nvrtc)\./, (release) => `cuda-libraries-${release}-0`],
];

/** How to get the library that the system did not find, if that is what ONNX Runtime says. */
function missingLibrary(said: string): string | undefined {
  const name = /\b(lib[\w.+-]+\.so[.\d]*): cannot open shared object/.exec(said)?.[1];
  if (name === undefined || name.startsWith('libonnxruntime')) return undefined;
  const known = cudaPackages.find(([library]) => library.test(name))?.[1];
  const release = /\.so\.(\d+)/.exec(name)?.[1] ?? '13';
  const install =
    known === undefined ? '' : `install it (\`apt-get install ${known(release)}\`) and `;
  return `${name} was not found; ${install}put its folder on LD_LIBRARY_PATH`;
}

/** A provider's failure to load, in one line: ONNX Runtime's reason and the way out. */
function missing(device: Exclude<Device, 'cpu'>, cause: unknown): CxmindError {
  const said = asCxmindError(cause).message.replace(/\s+/g, ' ');
  const library = device === 'cuda' ? missingLibrary(said) : undefined;
  const message = library ?? `${wayOut[device]} (${said})`;
  return new CxmindError('DEVICE_MISSING', `device ${device}: ${message}`, {
    detail: { device, said },
    cause,
  });
}
