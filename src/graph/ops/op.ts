/**
 * The forms that every op has, side by side in the file of its family: inference, ONNX, gradient and reference kernel.
 *
 * Kernels in CUDA C stand beside the family `<name>.ts`, in `<name>-kernels.ts`.
 */
import type { DType } from '../../tensor/dtype.ts';
import type { GraphBuilder } from '../builder.ts';
import type { Dim, Value, ValueType } from '../ir.ts';
import type { Step } from '../kernel.ts';
import type { NdArray } from './array.ts';

/** Attributes of an op that has none. */
export type None = Readonly<Record<string, never>>;

/** One application of an op, as its rules see it. */
export interface Call<A> {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: A;
}

/** A gradient; zero where undefined. */
export type Gradient = Value | undefined;

/** The rules of one op. */
export interface Op<A> {
  /** True if it costs much to compute the op again in a backward graph. Only then are its results worth saving. */
  readonly isCostly?: true;
  /**
   * Types of the outputs.
   *
   * @throws SHAPE_MISMATCH, DTYPE_MISMATCH
   */
  infer(inputs: readonly ValueType[], attributes: A): readonly ValueType[];
  /** Writes the op as ONNX nodes. An op without this rule has `expand`. */
  emit?(call: Call<A>, onnx: Emitter): void;
  /** Writes the outputs by other ops, for devices that have no steps for it. */
  expand?(call: Call<A>, g: GraphBuilder): readonly Value[];
  /** One element of an elementwise op's result in C. Operands of a float dtype are `float`. */
  expression?(operands: readonly string[], call: Call<A>): string;
  /**
   * The steps of the op on a device with kernels, in order; undefined where its ONNX form does better.
   *
   * Memory that the steps need is a further output.
   */
  steps?(call: Call<A>): readonly Step[] | undefined;
  /**
   * Vector-Jacobian product: the gradients of the inputs from those of the outputs.
   *
   * A gradient may be broadcast; the reverse walk (`backward.ts`) sums it to its input's shape. An op without this rule
   * cannot stand between a parameter and a loss.
   */
  vjp?(call: Call<A>, gradients: readonly Gradient[], g: GraphBuilder): readonly Gradient[];
  /** Cheaper equals of the outputs, for a backward graph to read in their place; none where undefined. */
  substitutes?(call: Call<A>, g: GraphBuilder): readonly Gradient[];
  /** Reference kernel in double precision. The evaluator rounds its results to the outputs' dtypes. */
  evaluate(inputs: readonly NdArray[], attributes: A, sizes: DimSizes): readonly NdArray[];
}

/** A family of ops, closed by the compiler over its attribute types. */
export type OpFamily<Attributes> = { readonly [K in keyof Attributes]: Op<Attributes[K]> };

/** The size of a dimension in one evaluation; undefined when no input has its symbols. */
export type DimSizes = (dim: Dim) => number | undefined;

/** An ONNX attribute, tagged by its kind. */
export type OnnxAttribute =
  | { readonly int: number }
  | { readonly dtype: DType }
  | { readonly float: number }
  | { readonly text: string }
  | { readonly ints: readonly number[] };

/** An operand or a result of an ONNX node, ONNX Runtime's `NodeArg`: a value of the graph, or a name. */
export type NodeArg = Value | string;

/** The writer of ONNX nodes that ops are given. */
export interface Emitter {
  /** Adds a node. The domain is ONNX's own unless given. */
  node(
    type: string,
    inputs: readonly NodeArg[],
    outputs: readonly NodeArg[],
    attributes?: Readonly<Record<string, OnnxAttribute>>,
    domain?: string,
  ): void;
  /** Adds a node with one output for the op's own use; returns the output's name. */
  inner(
    type: string,
    inputs: readonly NodeArg[],
    attributes?: Readonly<Record<string, OnnxAttribute>>,
  ): string;
  /** True if any node or graph output reads a value. */
  isRead(value: Value): boolean;
  /** A fresh name for a value inside one op's emission. */
  temporary(): string;
  /** The name of a value in a dtype: its own name, or that of a cast. */
  cast(from: NodeArg, to: DType): string;
  /** A constant i64 vector. */
  ints(values: readonly number[]): string;
  /** A constant scalar. */
  scalar(value: number, dtype: DType): string;
  /** An i64 vector of dimensions; symbolic ones are computed from the shapes of graph inputs. */
  dims(dims: readonly Dim[]): string;
}

/** The domain of ONNX Runtime's own ops. */
export const microsoft = 'com.microsoft';

/** Emits an op as one node over all inputs and outputs. */
export function asNode<A>(
  type: string,
  attributes?: (attributes: A) => Readonly<Record<string, OnnxAttribute>>,
  domain?: string,
): (call: Call<A>, onnx: Emitter) => void {
  return ({ inputs, outputs, attributes: own }, onnx) =>
    onnx.node(type, inputs, outputs, attributes?.(own), domain);
}
