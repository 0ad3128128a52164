import type { DType } from '../../tensor/dtype.ts';
import type { GraphBuilder } from '../builder.ts';
import type { Dim, Value, ValueType } from '../ir.ts';
import type { Step } from '../kernel.ts';
import type { NdArray } from './array.ts';

/** Attributes of an op that has none. */
export type None = Readonly<Record<string, never>>;

/** One application of an op as its rules see it. */
export interface Call<A> {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: A;
}

/** A gradient that is absent is zero. */
export type Gradient = Value | undefined;

/** All that is known of one op, in one place. */
export interface Op<A> {
  /** `cheap` may be computed again in a backward graph rather than saved. */
  readonly cost: 'cheap' | 'costly';
  /** Types of the outputs; throws SHAPE_MISMATCH or DTYPE_MISMATCH. */
  infer(inputs: readonly ValueType[], attributes: A): readonly ValueType[];
  /** Writes the op as ONNX nodes; an op without this rule has the next. */
  emit?(call: Call<A>, onnx: Emitter): void;
  /** The outputs by other ops, for devices that have no steps for it. */
  expand?(call: Call<A>, g: GraphBuilder): readonly Value[];
  /** One element of the result in C, of operands that are `float` for every float dtype; of ops that go element by element. */
  expression?(operands: readonly string[], call: Call<A>): string;
  /**
   * What the op does on a device with kernels, one step after the other; undefined where its ONNX form does better.
   * Memory that the steps need is an output more.
   */
  steps?(call: Call<A>): readonly Step[] | undefined;
  /**
   * Vector-Jacobian product: the gradients of the inputs, from those of the outputs. A rule is only
   * its algebra: a gradient may be broadcast, the reverse walk sums it to its input's shape.
   * An op without a rule cannot stand between a parameter and a loss.
   */
  vjp?(call: Call<A>, gradients: readonly Gradient[], g: GraphBuilder): readonly Gradient[];
  /** Outputs computed a cheaper way from other outputs, for use in a backward graph; absent ones as they are. */
  rederive?(call: Call<A>, g: GraphBuilder): readonly Gradient[];
  /** Reference kernel in double precision; what it gives is rounded to the outputs' dtypes by who evaluates. */
  evaluate(inputs: readonly NdArray[], attributes: A, sizes: DimSizes): readonly NdArray[];
}

/** A family of ops, closed by the compiler over its attribute types. */
export type OpFamily<Attributes> = { readonly [K in keyof Attributes]: Op<Attributes[K]> };

/** The number a dimension stands for in one evaluation, undefined when no input has its symbols. */
export type DimSizes = (dim: Dim) => number | undefined;

/** An ONNX attribute, tagged by its kind. */
export type OnnxAttribute =
  | { readonly int: number }
  | { readonly dtype: DType }
  | { readonly float: number }
  | { readonly text: string }
  | { readonly ints: readonly number[] };

/** Where ops write their ONNX form. */
export interface Emitter {
  /** Adds a node; `domain` is the standard one unless given. */
  node(
    type: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes?: Readonly<Record<string, OnnxAttribute>>,
    domain?: string,
  ): void;
  /** The ONNX name of a value. */
  name(value: Value): string;
  /** Whether any node or graph output reads a value. */
  isRead(value: Value): boolean;
  /** A fresh name for a value inside one op's emission. */
  temporary(): string;
  /** The name of a value in another dtype. */
  cast(name: string, to: DType): string;
  /** A constant i64 vector. */
  ints(values: readonly number[]): string;
  /** A constant scalar. */
  scalar(value: number, dtype: DType): string;
  /** An i64 vector holding the dimensions, computed from the shapes of graph inputs where symbolic. */
  dims(dims: readonly Dim[]): string;
}

/** The domain of ONNX Runtime's own ops. */
export const microsoft = 'com.microsoft';

/** Adds a node of one output, for the op's own use, and gives its name. */
export function intermediate(
  onnx: Emitter,
  type: string,
  inputs: readonly string[],
  attributes?: Readonly<Record<string, OnnxAttribute>>,
): string {
  const output = onnx.temporary();
  onnx.node(type, inputs, [output], attributes);
  return output;
}

/** Emission as one standard node over all inputs and outputs. */
export function asNode<A>(
  type: string,
  attributes?: (attributes: A) => Readonly<Record<string, OnnxAttribute>>,
  domain?: string,
): (call: Call<A>, onnx: Emitter) => void {
  return (call, onnx) => {
    onnx.node(
      type,
      call.inputs.map((value) => onnx.name(value)),
      call.outputs.map((value) => onnx.name(value)),
      attributes?.(call.attributes),
      domain,
    );
  };
}
