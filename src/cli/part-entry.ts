/**
 * Opens one part of the machine in a process of its own, and prints whether it works, as JSON.
 *
 * A driver may write to stderr or end the process when it is opened.
 */
import { NcclLibrary } from '../../transport/collectives/native/nccl-library.ts';
import { MpiLibrary } from '../../transport/collectives/native/mpi-library.ts';
import { cudaLibraries } from '../device/cuda/libraries.ts';
import { openDevice, type DeviceName } from '../device/open.ts';
import type { Opened, Part } from '../doctor/machine.ts';
import { messageOf } from '../errors.ts';
import { print } from './terminal.ts';

const opening = (device: DeviceName) => () => {
  openDevice({ device })[Symbol.dispose]();
};

/** Opens each part. @throws DEVICE_MISSING with the way out */
const openers: Readonly<Record<Part, () => unknown>> = {
  ...cudaLibraries,
  onnxruntime: opening('cpu'),
  webgpu: opening('webgpu'),
  cuda: opening('cuda:0'),
  nccl: () => new NcclLibrary(),
  mpi: () => new MpiLibrary(),
};

function opened(part: Part): Opened {
  try {
    openers[part]();
    return { works: true };
  } catch (error) {
    return { works: false, reason: messageOf(error) };
  }
}

await print(JSON.stringify(opened(process.argv[2] as Part)));
