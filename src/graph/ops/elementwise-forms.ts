/** Makers of elementwise ops that differ in their formula alone. */
import type { DType } from '../../tensor/dtype.ts';
import type { GraphBuilder } from '../builder.ts';
import { isFloat, type Value, type ValueType } from '../ir.ts';
import { broadcastShapes, dtypeError, shapeError } from '../shape.ts';
import { mapArrays } from './array.ts';
import { asNode, type Gradient, type None, type Op } from './op.ts';

type Algebra = (g: GraphBuilder, dy: Value, x: Value, y: Value) => Gradient;
type BinaryAlgebra = (
  g: GraphBuilder,
  dy: Value,
  a: Value,
  b: Value,
  y: Value,
) => readonly [Gradient, Gradient];

/** The type of a broadcast result. */
export function broadcastType(op: string, inputs: readonly ValueType[], dtype: DType): ValueType[] {
  const shape = broadcastShapes(inputs.map((input) => input.shape));
  if (shape === undefined) throw shapeError(op, 'shapes do not broadcast', inputs);
  return [{ dtype, shape }];
}

/** The dtype that all operands have; throws DTYPE_MISMATCH where they differ. */
export function sameDType(op: string, inputs: readonly ValueType[]): DType {
  const dtype = inputs[0]!.dtype;
  if (inputs.some((input) => input.dtype !== dtype)) {
    throw dtypeError(op, 'operands must have one dtype', inputs);
  }
  return dtype;
}

/**
 * An op of one operand.
 *
 * @param type ONNX's name
 * @param c    the formula in C
 * @param f    the formula in TypeScript
 */
export function unary(
  name: string,
  type: string,
  c: (x: string) => string,
  f: (x: number) => number,
  vjp: Algebra,
  wants: 'float' | 'number' = 'float',
): Op<None> {
  return {
    infer([x]) {
      if (wants === 'float' ? !isFloat(x!.dtype) : x!.dtype === 'bool') {
        throw dtypeError(name, `wants a ${wants} dtype`, [x!]);
      }
      return [{ dtype: x!.dtype, shape: x!.shape }];
    },
    emit: asNode(type),
    expression: ([x]) => c(x!),
    vjp: ({ inputs, outputs }, [dy], g) => [dy && vjp(g, dy, inputs[0]!, outputs[0]!)],
    evaluate: ([x]) => [mapArrays(x!.dtype, [x!], f)],
  };
}

/** An op of two operands of one dtype; its parameters are those of `unary`. */
export function binary(
  name: string,
  type: string,
  c: (a: string, b: string) => string,
  f: (a: number, b: number) => number,
  vjp: BinaryAlgebra,
): Op<None> {
  return {
    infer(inputs) {
      const dtype = sameDType(name, inputs);
      if (dtype === 'bool') throw dtypeError(name, 'wants numbers', inputs);
      return broadcastType(name, inputs, dtype);
    },
    emit: asNode(type),
    expression: ([a, b]) => c(a!, b!),
    vjp: ({ inputs: [a, b], outputs: [y] }, [dy], g) => (dy ? vjp(g, dy, a!, b!, y!) : []),
    evaluate: ([a, b]) => [mapArrays(a!.dtype, [a!, b!], f)],
  };
}

/** A comparison or a logical op, whose result is bool, with the parameters of `unary`. It has no gradient. */
export function predicate(
  name: string,
  type: string,
  c: (a: string, b: string) => string,
  f: (a: number, b: number) => boolean,
  wants: 'number' | 'bool',
): Op<None> {
  return {
    infer(inputs) {
      const dtype = sameDType(name, inputs);
      if ((dtype === 'bool') !== (wants === 'bool')) {
        throw dtypeError(name, `wants ${wants} operands`, inputs);
      }
      return broadcastType(name, inputs, 'bool');
    },
    emit: asNode(type),
    expression: ([a, b]) => c(a!, b!),
    evaluate: ([a, b]) => [mapArrays('bool', [a!, b!], (x, y) => Number(f(x, y)))],
  };
}
