import type { DType } from '../tensor/dtype.ts';

/** A tensor in a device's memory. */
export interface DeviceTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** An address, or a buffer's handle where the device has no addresses. */
  readonly address: bigint;
  readonly byteLength: number;
  /** ONNX Runtime's description of the memory. */
  readonly memory: { readonly info: bigint };
}
