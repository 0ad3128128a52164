import { CxmindError } from '../errors.ts';
import type { Native } from './native.ts';

/** Where a graph runs. Tensors stay in the CPU's memory; a device copies them in and out at each run. */
export const devices = ['cpu', 'webgpu', 'cuda'] as const;
export type Device = (typeof devices)[number];

/** A device, or `auto`: the first of cuda, webgpu and cpu that loads. */
export type DeviceName = Device | 'auto';

const install: Readonly<Record<Exclude<Device, 'cpu'>, string>> = {
  cuda:
    'its provider (Linux x64, CUDA 12) did not load; ' +
    'install it with `ONNXRUNTIME_NODE_INSTALL=cuda12 node node_modules/onnxruntime-node/script/install.js`',
  webgpu:
    'no usable adapter was found; ' +
    "install Vulkan with `apt-get install libvulkan1` and the GPU's own driver",
};

/** The devices to try for a name, best first. */
export function candidates(name: DeviceName): readonly Device[] {
  return name === 'auto' ? ['cuda', 'webgpu', 'cpu'] : [name];
}

/**
 * Let a session run on a device; the CPU needs nothing.
 *
 * @throws DEVICE_MISSING when the device's provider does not load
 */
export function appendProvider(native: Native, options: bigint, device: Device): void {
  if (device === 'cpu') return;
  const f = native.functions;
  try {
    switch (device) {
      case 'webgpu':
        native.check(
          f.SessionOptionsAppendExecutionProvider(options, 'WebGPU', [], [], 0),
          'WebGPU',
        );
        return;
      case 'cuda': {
        const cuda = native.out('CUDA', (slot) => f.CreateCUDAProviderOptions(slot));
        try {
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

/** A provider's failure to load, in one sentence with the command that installs it. */
function missing(device: Exclude<Device, 'cpu'>, cause: unknown): CxmindError {
  const said = cause instanceof Error ? cause.message : String(cause);
  return new CxmindError('DEVICE_MISSING', `device ${device}: ${install[device]}`, {
    detail: { device, said },
    cause,
  });
}
