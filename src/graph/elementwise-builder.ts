import type { DType } from '../tensor/dtype.ts';
import { isFloat, type Value } from './ir.ts';
import { NodeBuilder } from './node-builder.ts';
import type { ElementwiseAttributes } from './ops/elementwise.ts';
import { broadcastShapes, sameShape } from './shape.ts';

/**
 * The functions that go element by element: arithmetic, comparisons, logic, casts and activations.
 *
 * Operands broadcast as in NumPy. An operation that changes nothing, such as adding zero, gives its operand.
 */
export class ElementwiseBuilder extends NodeBuilder {
  readonly add = this.#pairwise('add');
  readonly sub = this.#pairwise('sub');
  readonly mul = this.#pairwise('mul');
  readonly div = this.#pairwise('div');
  readonly min = this.#pairwise('min');
  readonly max = this.#pairwise('max');
  readonly pow = this.#pairwise('pow');
  readonly neg = this.#single('neg');
  readonly exp = this.#single('exp');
  readonly log = this.#single('log');
  readonly sqrt = this.#single('sqrt');
  readonly reciprocal = this.#single('reciprocal');
  readonly sigmoid = this.#single('sigmoid');
  readonly tanh = this.#single('tanh');
  readonly erf = this.#single('erf');
  readonly abs = this.#single('abs');
  /** -1, 0 or 1; its gradient is zero. */
  readonly sign = this.#single('sign');
  readonly sin = this.#single('sin');
  readonly cos = this.#single('cos');
  /** The largest whole number not above x; its gradient is zero. */
  readonly floor = this.#single('floor');

  readonly equal = this.#pairwise('equal');
  readonly less = this.#pairwise('less');
  readonly greater = this.#pairwise('greater');
  readonly and = this.#pairwise('and');
  readonly or = this.#pairwise('or');
  readonly not = this.#single('not');
  /** `a` where the condition holds, `b` elsewhere. */
  where(condition: Value, a: Value, b: Value): Value {
    return this.one('where', [condition, a, b], {});
  }

  cast(x: Value, to: DType): Value {
    if (x.dtype === to) return x;
    const from = this.producer(x);
    // Widening a half to f32 is exact, so the way back gives the half itself.
    const isBack = from?.op === 'cast' && x.dtype === 'f32' && isFloat(to);
    if (isBack && from.inputs[0]!.dtype === to) return from.inputs[0]!;
    return this.one('cast', [x], { to });
  }
  /** Computes a formula in f32 and rounds its result once, to the dtype of the first operand. */
  inFloat32<V extends readonly Value[]>(operands: V, formula: (...wide: V) => Value): Value {
    const wide = operands.map((operand) => this.cast(operand, 'f32')) as unknown as V;
    return this.cast(formula(...wide), operands[0]!.dtype);
  }
  /** x kept within `[low, high]`; the gradient passes where x is within, bounds included. */
  clip(x: Value, low: number, high: number): Value {
    return this.one('clip', [x], { low, high });
  }
  /** x times its sigmoid. */
  readonly silu = this.#single('silu');
  /** Gaussian error linear unit, the exact form with erf. */
  gelu(x: Value): Value {
    return this.inFloat32([x], (x) => {
      const half = this.scalar(0.5);
      const cdf = this.erf(this.mul(x, this.scalar(Math.SQRT1_2)));
      return this.mul(this.mul(x, half), this.add(cdf, this.scalar(1)));
    });
  }
  /** Gaussian error linear unit by its approximation with tanh. @see Hendrycks and Gimpel, arXiv:1606.08415 */
  geluTanh(x: Value): Value {
    return this.inFloat32([x], (x) => {
      const cube = this.mul(this.mul(x, x), x);
      const inner = this.add(x, this.mul(cube, this.scalar(0.044715)));
      const share = this.tanh(this.mul(inner, this.scalar(Math.sqrt(2 / Math.PI))));
      return this.mul(this.mul(x, this.scalar(0.5)), this.add(share, this.scalar(1)));
    });
  }
  /** Gaussian error linear unit by its approximation with the sigmoid of 1.702 x. */
  quickGelu(x: Value): Value {
    return this.inFloat32([x], (x) => this.mul(x, this.sigmoid(this.mul(x, this.scalar(1.702)))));
  }

  #single(op: UnaryOp): (x: Value) => Value {
    return (x) => this.one(op, [x], {});
  }

  #pairwise(op: BinaryOp): (a: Value, b: Value) => Value {
    return (a, b) => this.#binary(op, a, b);
  }

  /** Applies a broadcasting op; an operand that was only expanded to fit the other is used as it was. */
  #binary(op: BinaryOp, a: Value, b: Value): Value {
    const shape = broadcastShapes([a.shape, b.shape]);
    const [left, right] = [this.unexpanded(a), this.unexpanded(b)];
    const fits = (x: Value, y: Value): boolean => {
      const fit = shape && broadcastShapes([x.shape, y.shape]);
      return fit !== undefined && sameShape(fit, shape!);
    };
    if (left !== a && fits(left, b)) return this.#binary(op, left, b);
    if (right !== b && fits(a, right)) return this.#binary(op, a, right);
    if (shape !== undefined && a.dtype === b.dtype) {
      const neutral = neutralOf[op];
      if (neutral !== undefined && this.isNumber(b, neutral) && sameShape(a.shape, shape)) return a;
      const commutes = op === 'add' || op === 'mul';
      if (commutes && this.isNumber(a, neutral!) && sameShape(b.shape, shape)) return b;
    }
    return this.one(op, [a, b], {});
  }
}

type UnaryOp = Exclude<keyof ElementwiseAttributes, BinaryOp | 'where' | 'clip' | 'cast'>;
// oxfmt-ignore
type BinaryOp = 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max' | 'pow' | 'equal' | 'less' | 'greater' | 'and' | 'or';

/** The right operand that changes nothing. */
const neutralOf: Partial<Record<BinaryOp, number>> = { add: 0, sub: 0, mul: 1, div: 1, pow: 1 };
