import type { Device, View } from '../../src/device/device.ts';
import { AdamW, type AdamWOptions } from '../../src/optim/adamw.ts';

/** Numbers on shared memory as a view of the processor, `[N]`; the same memory. */
export function flatView(device: Device, data: Float32Array): View<'f32'> {
  return device.host!.view({ dtype: 'f32', shape: [data.length], data });
}

/** An optimizer over arrays on shared memory. */
export function adamWOver(
  device: Device,
  {
    parameters,
    gradients,
    ...options
  }: Omit<AdamWOptions, 'parameters' | 'gradients'> & {
    readonly parameters: Float32Array;
    readonly gradients: Float32Array;
  },
): AdamW {
  return new AdamW(device, {
    parameters: flatView(device, parameters),
    gradients: flatView(device, gradients),
    ...options,
  });
}
