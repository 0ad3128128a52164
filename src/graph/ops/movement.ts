import type { DType } from '../../tensor/dtype.ts';
import type { Dim, ValueType } from '../ir.ts';
import { differenceDim, mayHoldSame, sumDim } from '../dim.ts';
import { broadcastShapes, sameShape, shapeError } from '../shape.ts';
import { broadcastStrides, blank, readStrided, stridesOf, walk } from './array.ts';
import { sizeOf } from '../../tensor/tensor.ts';
import { asNode, type DimSizes, type OpFamily } from './op.ts';
import { partsKernel } from './movement-kernels.ts';

/** Attributes of the ops that move elements without changing them. */
export interface MovementAttributes {
  readonly transpose: { readonly perm: readonly number[] };
  readonly reshape: { readonly shape: readonly Dim[] };
  readonly expand: { readonly shape: readonly Dim[] };
  readonly concat: { readonly axis: number };
  /** Negative bounds count from the end of the axis; `end` is null for the end itself. */
  readonly slice: { readonly axis: number; readonly start: number; readonly end: number | null };
  readonly split: { readonly axis: number; readonly sizes: readonly Dim[] };
  /** Zeros along one axis: `before` of them in front, and enough at the end to make the axis `size`. */
  readonly pad: { readonly axis: number; readonly before: Dim; readonly size: Dim };
  /** The product of dimensions as a scalar. It has no inputs. */
  readonly size: { readonly dims: readonly Dim[]; readonly dtype: DType };
}

function withAxis<D>(shape: readonly D[], axis: number, dim: D): D[] {
  return shape.map((old, i) => (i === axis ? dim : old));
}

/** The place at which a slice begins or ends. A symbolic axis is assumed to be long enough. */
function placeIn(dim: Dim, bound: number): Dim {
  const place = bound < 0 ? sumDim([dim, bound]) : bound;
  return typeof dim === 'number' ? Math.min(dim, Math.max(0, Number(place))) : place;
}

function slicedDim(dim: Dim, start: number, end: number | null): Dim {
  const size = differenceDim(end === null ? dim : placeIn(dim, end), [placeIn(dim, start)]);
  return typeof size === 'number' ? Math.max(0, size) : size;
}

/** Sizes of a shape. One dimension may have an unknown symbol, and takes what the others leave. */
function resolveShape(shape: readonly Dim[], total: number, sizes: DimSizes): number[] {
  const known = shape.map(sizes);
  const rest = known.reduce<number>((product, size) => product * (size ?? 1), 1);
  return known.map((size) => size ?? total / rest);
}

/** Ops that move elements. */
export const movement: OpFamily<MovementAttributes> = {
  transpose: {
    infer([x], { perm }) {
      const sorted = [...perm].sort((a, b) => a - b);
      if (perm.length !== x!.shape.length || sorted.some((axis, i) => axis !== i)) {
        throw shapeError('transpose', `[${perm.join(', ')}] is not an order of the axes`, [x!]);
      }
      return [{ dtype: x!.dtype, shape: perm.map((axis) => x!.shape[axis]!) }];
    },
    emit: asNode('Transpose', ({ perm }) => ({ perm: { ints: perm } })),
    vjp({ attributes: { perm } }, [dy], g) {
      const back = perm.map((_, axis) => perm.indexOf(axis));
      return [dy && g.transpose(dy, back)];
    },
    evaluate([x], { perm }) {
      const turned = (numbers: readonly number[]): number[] => perm.map((axis) => numbers[axis]!);
      return [readStrided(x!, turned(x!.shape), turned(stridesOf(x!.shape)))];
    },
  },
  reshape: {
    infer([x], { shape }) {
      if (!mayHoldSame(x!.shape, shape)) {
        throw shapeError('reshape', `the elements do not fill [${shape.join(', ')}]`, [x!]);
      }
      return [{ dtype: x!.dtype, shape }];
    },
    emit({ inputs: [x], outputs: [y], attributes: { shape } }, onnx) {
      const codes = shape.map((dim, axis) =>
        typeof dim === 'number' ? dim : dim === x!.shape[axis] ? 0 : -1,
      );
      const isStatic = codes.filter((code) => code === -1).length <= 1;
      // A code of 0 stands for x's own dimension, so a size of 0 needs `allowzero`, and that has no such code.
      const isEmpty = shape.includes(0);
      const target = isStatic && !isEmpty ? onnx.ints(codes) : onnx.dims(shape);
      const attributes = isEmpty ? { allowzero: { int: 1 } } : {};
      onnx.node('Reshape', [x!, target], [y!], attributes);
    },
    vjp: ({ inputs: [x] }, [dy], g) => [dy && g.reshape(dy, x!.shape)],
    evaluate: ([x], { shape }, sizes) => [
      { ...x!, shape: resolveShape(shape, x!.data.length, sizes) },
    ],
  },
  expand: {
    infer([x], { shape }) {
      const common = broadcastShapes([x!.shape, shape]);
      if (common === undefined || !sameShape(common, shape)) {
        throw shapeError('expand', `does not broadcast to [${shape.join(', ')}]`, [x!]);
      }
      return [{ dtype: x!.dtype, shape }];
    },
    emit({ inputs: [x], outputs: [y], attributes: { shape } }, onnx) {
      onnx.node('Expand', [x!, onnx.dims(shape)], [y!]);
    },
    vjp: (_call, [dy]) => [dy],
    evaluate([x], { shape }, sizes) {
      // An unknown symbol is x's own dimension.
      const lead = shape.length - x!.shape.length;
      const target = shape.map((dim, axis) => sizes(dim) ?? x!.shape[axis - lead]!);
      return [readStrided(x!, target, broadcastStrides(x!.shape, target))];
    },
  },
  concat: {
    infer(inputs, { axis }) {
      const [first] = inputs;
      const fits = (input: ValueType): boolean =>
        input.shape.length === first!.shape.length &&
        sameShape(withAxis(input.shape, axis, 0), withAxis(first!.shape, axis, 0));
      if (!inputs.every(fits)) throw shapeError('concat', `shapes differ off axis ${axis}`, inputs);
      const dim = sumDim(inputs.map((input) => input.shape[axis]!));
      return [{ dtype: first!.dtype, shape: withAxis(first!.shape, axis, dim) }];
    },
    emit: asNode('Concat', ({ axis }) => ({ axis: { int: axis } })),
    steps: ({ inputs, attributes: { axis } }) => [
      partsKernel('concat', inputs[0]!.dtype, inputs.length, axis),
    ],
    vjp({ inputs, attributes: { axis } }, [dy], g) {
      const sizes = inputs.map((input) => input.shape[axis]!);
      return dy === undefined ? [] : g.split(dy, sizes, axis);
    },
    evaluate(inputs, { axis }) {
      const first = inputs[0]!;
      const total = inputs.reduce((sum, input) => sum + input.shape[axis]!, 0);
      const result = blank(first.dtype, withAxis(first.shape, axis, total));
      const strides = stridesOf(result.shape);
      let start = 0;
      for (const input of inputs) {
        const from = start;
        walk(input.shape, [strides], (position, [offset]) => {
          result.data[from + offset!] = input.data[position]!;
        });
        start += input.shape[axis]! * strides[axis]!;
      }
      return [result];
    },
  },
  slice: {
    infer([x], { axis, start, end }) {
      const dim = slicedDim(x!.shape[axis]!, start, end);
      return [{ dtype: x!.dtype, shape: withAxis(x!.shape, axis, dim) }];
    },
    emit({ inputs: [x], outputs: [y], attributes: { axis, start, end } }, onnx) {
      const bounds = [[start], [end ?? Number.MAX_SAFE_INTEGER], [axis]];
      const names = bounds.map((bound) => onnx.ints(bound));
      onnx.node('Slice', [x!, ...names], [y!]);
    },
    vjp({ inputs: [x], attributes: { axis, start } }, [dy], g) {
      if (dy === undefined) return [];
      const dim = x!.shape[axis]!;
      return [g.pad(dy, axis, placeIn(dim, start), dim)];
    },
    evaluate([x], { axis, start, end }) {
      const dim = x!.shape[axis]!;
      const strides = stridesOf(x!.shape);
      const from = placeIn(dim, start) as number;
      const shape = withAxis(x!.shape, axis, slicedDim(dim, start, end) as number);
      return [readStrided(x!, shape, strides, from * strides[axis]!)];
    },
  },
  split: {
    infer([x], { axis, sizes }) {
      const dim = x!.shape[axis]!;
      const total = sumDim(sizes);
      if (typeof dim === 'number' && typeof total === 'number' && dim !== total) {
        throw shapeError('split', `sizes [${sizes.join(', ')}] do not add up to ${dim}`, [x!]);
      }
      return sizes.map((size) => ({ dtype: x!.dtype, shape: withAxis(x!.shape, axis, size) }));
    },
    emit({ inputs: [x], outputs, attributes: { axis, sizes } }, onnx) {
      onnx.node('Split', [x!, onnx.dims(sizes)], outputs, { axis: { int: axis } });
    },
    steps: ({ inputs: [x], outputs, attributes: { axis } }) => [
      partsKernel('split', x!.dtype, outputs.length, axis),
    ],
    vjp({ outputs, attributes: { axis } }, gradients, g) {
      const parts = outputs.map((output, i) => gradients[i] ?? g.zeros(output.dtype, output.shape));
      return [g.concat(parts, axis)];
    },
    evaluate([x], { axis, sizes }, sizesOf) {
      const strides = stridesOf(x!.shape);
      let start = 0;
      return resolveSplit(sizes, x!.shape[axis]!, sizesOf).map((size) => {
        const part = readStrided(x!, withAxis(x!.shape, axis, size), strides, start);
        start += size * strides[axis]!;
        return part;
      });
    },
  },
  pad: {
    infer([x], { axis, before, size }) {
      const after = differenceDim(size, [before, x!.shape[axis]!]);
      if (typeof after === 'number' && after < 0) {
        throw shapeError('pad', `axis ${axis} does not fit ${size} after ${before} zeros`, [x!]);
      }
      return [{ dtype: x!.dtype, shape: withAxis(x!.shape, axis, size) }];
    },
    emit({ inputs: [x], outputs: [y], attributes: { axis, before, size } }, onnx) {
      const after = differenceDim(size, [before, x!.shape[axis]!]);
      const pads = onnx.dims([before, after]);
      onnx.node('Pad', [x!, pads, '', onnx.ints([axis])], [y!]);
    },
    vjp({ inputs: [x], attributes: { axis, before } }, [dy], g) {
      if (dy === undefined) return [];
      const dim = x!.shape[axis]!;
      if (typeof before === 'number' && typeof dim === 'number') {
        return [g.slice(dy, { axis, start: before, end: before + dim })];
      }
      const after = differenceDim(dy.shape[axis]!, [before, dim]);
      return [g.split(dy, [before, dim, after], axis)[1]];
    },
    evaluate([x], { axis, before, size }, sizes) {
      const result = blank(x!.dtype, withAxis(x!.shape, axis, sizes(size)!));
      const strides = stridesOf(result.shape);
      const start = sizes(before)! * strides[axis]!;
      walk(x!.shape, [strides], (position, [offset]) => {
        result.data[start + offset!] = x!.data[position]!;
      });
      return [result];
    },
  },
  size: {
    infer: (_inputs, { dtype }) => [{ dtype, shape: [] }],
    emit({ outputs: [y], attributes: { dims, dtype } }, onnx) {
      const product = onnx.temporary();
      onnx.node('ReduceProd', [onnx.dims(dims)], [product], { keepdims: { int: 0 } });
      onnx.node('Cast', [product], [y!], { to: { dtype } });
    },
    evaluate(_inputs, { dims, dtype }, sizes) {
      const result = blank(dtype, []);
      result.data[0] = sizeOf(dims.map((dim) => sizes(dim)!));
      return [result];
    },
  },
};

function resolveSplit(sizes: readonly Dim[], total: number, sizesOf: DimSizes): number[] {
  const known = sizes.map(sizesOf);
  const rest = known.reduce<number>((sum, size) => sum - (size ?? 0), total);
  return known.map((size) => size ?? rest);
}
