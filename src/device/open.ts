import type { RuntimeOptions } from '../ort/runtime.ts';
import { CpuDevice } from './cpu/device.ts';
import type { Device } from './device.ts';

/** How a device computes. */
export type DeviceOptions = RuntimeOptions;

/**
 * Opens a device in this thread, as often as needed.
 *
 * @throws DEVICE_MISSING in one sentence that says how to get what is missing
 */
export function openDevice(options: DeviceOptions = {}): Device {
  return new CpuDevice(options);
}
