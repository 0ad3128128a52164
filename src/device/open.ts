/** The names of devices, and the device that a name stands for. */
import type { RuntimeOptions } from '../ort/runtime.ts';
import { CpuDevice } from './cpu/device.ts';
import { CudaDevice } from './cuda/device.ts';
import type { Device } from './device.ts';
import { WebGpuDevice } from './webgpu/device.ts';

/** The name of a device. */
export type DeviceName = 'cpu' | 'webgpu' | Card;

/** The name of a card of CUDA. */
export type Card = `cuda:${number}`;

/** Choice of a device, and of the way it computes. */
export interface DeviceOptions extends RuntimeOptions {
  /** The device; `cpu` unless given. */
  readonly device?: DeviceName;
}

/**
 * Opens a device in this thread, as often as needed.
 *
 * @throws DEVICE_MISSING in one line that says how to get what is missing
 */
export function openDevice({ device = 'cpu', ...options }: DeviceOptions = {}): Device {
  switch (device) {
    case 'cpu':
      return new CpuDevice(options);
    case 'webgpu':
      return new WebGpuDevice(options);
    default:
      return new CudaDevice(ordinalOf(device), options);
  }
}

/** True if a device is a card of CUDA. */
export function isCard(device: DeviceName): device is Card {
  return device.startsWith('cuda:');
}

/** Number of a card, from its name. */
export function ordinalOf(device: Card): number {
  return Number(device.slice('cuda:'.length));
}
