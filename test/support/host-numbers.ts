import type { DeviceArena } from '../../src/model/weights/device-arena.ts';

/** The elements of an arena of a device that computes in this process's memory; no copy. */
export function hostNumbers({ flat }: DeviceArena<'f32'>): Float32Array {
  return flat.device.host!.tensor(flat).data;
}
