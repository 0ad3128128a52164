import type { GraphBuilder } from '../graph/builder.ts';
import type { Dim, Value } from '../graph/ir.ts';
import { onRows, type AdapterForm } from './adapters/adapted-product.ts';

/**
 * How the activations of one token of each of `B` sequences lie.
 *
 * `columns` is `[features, B]`: a product is then `W x`, the weight on the left, whose rows ONNX Runtime
 * reads as they are. `rows` is `[B, features]` with products `x Wᵀ`, for which it first packs every
 * weight anew; measured at B = 32 that makes a product take 1.5 times as long, and from B = 8 on longer.
 * For a single sequence it is the faster by half.
 */
export type DecodeForm = 'rows' | 'columns';

/** The sequences from which on columns are faster. */
export const FEWEST_COLUMNS = 3;

/** Products and changes between rows and a form. */
export class DecodeSheet {
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

  /** The shape of one number a feature, the same for every sequence. */
  perFeature(features: number): readonly Dim[] {
    return this.#form === 'rows' ? [features] : [features, 1];
  }

  /** `weight [out, in]` times `rows [B, in]`, plus `addend`, in this form; `to` as of any product. */
  ofRows(weight: Value, rows: Value, addend?: Value, to?: 'f32'): Value {
    const options = { transB: true, ...(addend && { c: addend }), ...(to && { to }) };
    const g = this.#g;
    return this.#form === 'rows' ? g.gemm(rows, weight, options) : g.gemm(weight, rows, options);
  }

  /** Adapters on activations that are given as rows or in this form; what they add is in this form. */
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

  /** `weight [out, in]` times activations in this form, plus `addend`. */
  product(weight: Value, inner: Value, addend: Value): Value {
    if (this.#form === 'rows') return this.#g.gemm(inner, weight, { transB: true, c: addend });
    return this.#g.gemm(weight, inner, { c: addend });
  }

  /** Activations as rows `[B, features]`. */
  toRows(activations: Value): Value {
    return this.#form === 'rows' ? activations : this.#g.transpose(activations, [1, 0]);
  }
}
