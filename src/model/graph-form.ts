import type { Device } from '../device/device.ts';

/**
 * How a graph is written: `composed` of ops that ONNX has, or with `fused` ones of our own, which need a device with
 * kernels to be fast.
 */
export type GraphForm = 'composed' | 'fused';

/** The form that suits a device. */
export function formFor({ hasKernels }: Device): GraphForm {
  return hasKernels ? 'fused' : 'composed';
}
