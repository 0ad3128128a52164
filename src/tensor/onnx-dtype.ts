import type { DType } from './dtype.ts';

/** ONNX's number of each dtype: `TensorProto.DataType` in files, `ONNXTensorElementDataType` in the C API. */
export const onnxDTypes: Readonly<Record<DType, number>> = {
  f32: 1,
  u8: 2,
  i32: 6,
  i64: 7,
  bool: 9,
  f16: 10,
  bf16: 16,
};
