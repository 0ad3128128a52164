import type { Device } from '../device/device.ts';

/** Form of a graph: `composed` of ONNX's ops, or with `fused` ops of our own, which need a device with kernels. */
export type GraphForm = 'composed' | 'fused';

/** The form that suits a device. */
export function formFor({ hasKernels }: Device): GraphForm {
  return hasKernels ? 'fused' : 'composed';
}
