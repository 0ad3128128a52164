import type { DType } from '../tensor/dtype.ts';

/** A tensor in a device's memory, as a binding takes it. */
export interface DeviceTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** An address, or a buffer's handle where the device has no addresses. */
  readonly address: bigint;
  readonly byteLength: number;
  /** Whose memory it is, as ONNX Runtime is told. */
  readonly memory: { readonly info: bigint };
}
