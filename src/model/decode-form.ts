/**
 * Layouts of activations in a decoding step on the CPU: rows or columns, whichever is faster for the number of
 * sequences.
 */
import type { GraphBuilder } from '../graph/builder.ts';
import type { Dim, Value } from '../graph/ir.ts';
import { onRows, type AdapterForm } from './adapters/adapted-product.ts';

/**
 * Layout of the activations of one token of each of `B` sequences.
 *
 * `columns` is `[features, B]`. A product is `W x`, with the weight on the left, whose rows ONNX Runtime reads as they
 * are. `rows` is `[B, features]` with products `x Wᵀ`, for which ONNX Runtime packs every weight anew. A product then
 * takes 1.5 times as long at B = 32 (measured), and longer from B = 8 on; for a single sequence rows are faster by
 * half.
 */
export type DecodeForm = 'rows' | 'columns';

/** Number of sequences from which columns are faster. */
export const FEWEST_COLUMNS = 3;

/** Products of a graph whose activations have a form, and the change between that form and rows. */
export class DecodeLayout {
  readonly #g: GraphBuilder;
  readonly #form: DecodeForm;

  constructor(g: GraphBuilder, form: DecodeForm) {
    this.#g = g;
    this.#form = form;
  }

  /** The shape of `features` activations of `B` sequences. */
  shape(features: number): readonly Dim[] {
    return this.#form === 'rows' ? ['B', features] : [features, 'B'];
  }

  /** The shape of a vector of features that is the same for every sequence. */
  perFeature(features: number): readonly Dim[] {
    return this.#form === 'rows' ? [features] : [features, 1];
  }

  /** Product of `weight [out, in]` with `rows [B, in]`, plus `addend`, in this form. `to` is the result's dtype. */
  ofRows(weight: Value, rows: Value, addend?: Value, to?: 'f32'): Value {
    const options = { transB: true, ...(addend && { c: addend }), ...(to && { to }) };
    const g = this.#g;
    return this.#form === 'rows' ? g.gemm(rows, weight, options) : g.gemm(weight, rows, options);
  }

  /** Products with adapters of activations that come as rows or in this form; their results are in this form. */
  adapters(x: Value, given: DecodeForm = this.#form): AdapterForm {
    const g = this.#g;
    if (this.#form === 'rows') return onRows(g, x);
    return {
      dtype: x.dtype,
      axis: 0,
      shrink: (a, scale) => g.gemm(a, x, { transB: given === 'rows', alpha: scale }),
      grow: (b, low) => g.gemm(b, low),
    };
  }

  /** Product of `weight [out, in]` with activations in this form, plus `addend`. */
  product(weight: Value, inner: Value, addend: Value): Value {
    if (this.#form === 'rows') return this.#g.gemm(inner, weight, { transB: true, c: addend });
    return this.#g.gemm(weight, inner, { c: addend });
  }

  /** Transposes activations in this form to rows `[B, features]`, or rows to this form; rows stay as they are. */
  transposed(x: Value): Value {
    return this.#form === 'rows' ? x : this.#g.transpose(x, [1, 0]);
  }
}
