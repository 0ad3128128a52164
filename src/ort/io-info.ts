/** The inputs and outputs of a compiled graph: their names and types, and the check of what is bound to them. */
import type { DType } from '../tensor/dtype.ts';
import { sharedBuffer } from '../tensor/memory.ts';
import { onnxDTypes } from '../tensor/onnx-dtype.ts';
import { typeText, type Tensor } from '../tensor/tensor.ts';
import { CxmindError } from '../errors.ts';
import { textAt, type Native } from './native.ts';

/** Name and type of an input or output of a graph. A dimension with a name is free. */
export interface IoInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly (number | string)[];
}

const dtypes = new Map(
  Object.entries(onnxDTypes).map(([dtype, number]) => [number, dtype as DType]),
);

/** Reads dtype and shape from native type info. A free dimension without a name is `?`. */
function describeTensor(
  native: Native,
  info: bigint,
  where: string,
): { dtype: DType; shape: (number | string)[] } {
  const { GetTensorElementType, GetDimensionsCount, GetDimensions, GetSymbolicDimensions } =
    native.functions;
  const element = Number(
    native.out(where, (slot) => GetTensorElementType(info, slot)) & 0xffffffffn,
  );
  const dtype = dtypes.get(element);
  if (dtype === undefined) {
    throw new CxmindError('DTYPE_MISMATCH', `${where}: ONNX element type ${element} has no dtype`);
  }
  const rank = Number(native.out(where, (slot) => GetDimensionsCount(info, slot)));
  const dims = new BigInt64Array(sharedBuffer(Math.max(8, rank * 8)));
  const names = new BigUint64Array(sharedBuffer(Math.max(8, rank * 8)));
  native.check(GetDimensions(info, dims, rank), where);
  native.check(GetSymbolicDimensions(info, names, rank), where);
  const shape = Array.from({ length: rank }, (_, axis) => {
    if (dims[axis]! >= 0n) return Number(dims[axis]);
    const name = textAt(names[axis]!);
    return name === '' ? '?' : name;
  });
  return { dtype, shape };
}

/** Reads the inputs or the outputs of a compiled graph, in the graph's order. */
export function describeIo(
  native: Native,
  session: bigint,
  allocator: bigint,
  side: 'Input' | 'Output',
  graph: string,
): IoInfo[] {
  const ort = native.functions;
  const count = native.out(graph, (slot) => ort[`SessionGet${side}Count`](session, slot));
  return Array.from({ length: Number(count) }, (_, i) => {
    const at = native.out(graph, (slot) =>
      ort[`SessionGet${side}Name`](session, i, allocator, slot),
    );
    const name = textAt(at);
    native.check(ort.AllocatorFree(allocator, at), graph);
    const where = `${graph}: ${side.toLowerCase()} ${name}`;
    const type = native.out(where, (slot) => ort[`SessionGet${side}TypeInfo`](session, i, slot));
    try {
      const tensor = native.out(where, (slot) => ort.CastTypeInfoToTensorInfo(type, slot));
      if (tensor === 0n) throw new CxmindError('DTYPE_MISMATCH', `${where}: expected a tensor`);
      return { name, ...describeTensor(native, tensor, where) };
    } finally {
      ort.ReleaseTypeInfo(type);
    }
  });
}

/**
 * The input or output of a graph that has a name.
 *
 * @throws GRAPH_INVALID for an unknown name, with those that there are
 */
export function ioNamed<Io>(
  ios: ReadonlyMap<string, Io>,
  name: string,
  side: 'input' | 'output',
  graph: string,
): Io {
  const io = ios.get(name);
  if (io !== undefined) return io;
  const known = [...ios.keys()].join(', ');
  throw new CxmindError('GRAPH_INVALID', `${graph}: no ${side} ${name}; it has ${known}`);
}

/**
 * Checks a tensor against the input or output that it is bound to.
 *
 * @throws DTYPE_MISMATCH or SHAPE_MISMATCH naming the graph, the input or output, the expected and the actual type
 */
export function checkFits(
  info: IoInfo,
  tensor: Pick<Tensor, 'dtype' | 'shape'>,
  graph: string,
): void {
  const { dtype, shape } = tensor;
  if (dtype !== info.dtype) throw misfit('DTYPE_MISMATCH', info, tensor, graph);
  if (shape.length !== info.shape.length) throw misfit('SHAPE_MISMATCH', info, tensor, graph);
  for (let axis = 0; axis < shape.length; axis++) {
    const expected = info.shape[axis];
    if (typeof expected === 'number' && expected !== shape[axis]) {
      throw misfit('SHAPE_MISMATCH', info, tensor, graph);
    }
  }
}

function misfit(
  code: 'DTYPE_MISMATCH' | 'SHAPE_MISMATCH',
  info: IoInfo,
  got: Pick<Tensor, 'dtype' | 'shape'>,
  graph: string,
): CxmindError {
  const what = `${info.name} expects ${typeText(info)}, got ${typeText(got)}`;
  return new CxmindError(code, `${graph}: ${what}`, {
    detail: { graph, name: info.name, expected: info.shape, got: got.shape },
  });
}
