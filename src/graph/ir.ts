/**
 * The intermediate representation: an immutable dataflow graph of typed values and ops.
 *
 * `Node` is typed by the table of all ops, whose rules are written with the builder. So this file, the builder, the
 * shapes and the ops import one another's types: the one circle of files there is.
 */
import type { DType, FloatDType } from '../tensor/dtype.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { OpAttributes, OpName } from './ops/table.ts';

/** Size of one axis: a number, or an expression over symbols known at run time, such as `T`, `P+T` or `N/4`. */
export type Dim = number | string;

/** The dtype and shape of a value. */
export interface ValueType {
  readonly dtype: DType;
  readonly shape: readonly Dim[];
}

/** A typed edge of a graph; `id` is unique within the builder that made it. */
export interface Value extends ValueType {
  readonly id: number;
  readonly name: string;
}

/** One application of an op, its attributes typed by the op table. */
export interface Node<K extends OpName = OpName> {
  readonly op: K;
  readonly inputs: readonly Value[];
  readonly attributes: OpAttributes[K];
  readonly outputs: readonly Value[];
}

/** A value that callers bind under a name. */
export interface GraphOutput {
  readonly name: string;
  readonly value: Value;
}

/** An immutable dataflow graph. Each of its `nodes` comes after those whose results it reads. */
export interface Graph {
  readonly name: string;
  readonly inputs: readonly Value[];
  readonly outputs: readonly GraphOutput[];
  readonly nodes: readonly Node[];
  /** Tensors of constant values, by value id. */
  readonly constants: ReadonlyMap<number, Tensor>;
}

/** True if gradients can flow through values of this dtype. */
export function isFloat(dtype: DType): dtype is FloatDType {
  return dtype === 'f32' || dtype === 'f16' || dtype === 'bf16';
}
