import { CxmindError } from '../errors.ts';
import { GraphBuilder } from '../graph/builder.ts';
import { encode } from '../graph/encode.ts';
import type { Graph, Value } from '../graph/ir.ts';
import type { Binding } from '../ort/binding.ts';
import type { Runtime } from '../ort/runtime.ts';
import type { Session } from '../ort/session.ts';
import { zeros, type Tensor } from '../tensor/tensor.ts';

/**
 * Elements updated at a time: enough for ONNX Runtime to divide each operator among its threads, few enough
 * for a thread's share of all operands to stay in its cache from one operator to the next.
 */
const SLICE = 2 ** 17;

/** What AdamW updates and how. The arrays live on shared memory and are held, not copied. */
export interface AdamWOptions {
  /** f32 `[N]`, updated in place. */
  readonly parameters: Float32Array;
  /** f32 `[N]`, read only. */
  readonly gradients: Float32Array;
  /** Decay of the first and second moment per step. */
  readonly betas: readonly [number, number];
  /** Decoupled: the parameters shrink by `lr · weightDecay` a step. */
  readonly weightDecay: number;
  /** Added to the root of the second moment before dividing by it; 1e-8 in the reference. */
  readonly eps: number;
}

/** What a checkpoint keeps of the optimizer. */
export interface AdamWState {
  /** f32 `[N]`, first moment, on shared memory. */
  readonly m: Float32Array;
  /** f32 `[N]`, second moment, on shared memory. */
  readonly v: Float32Array;
  /** Optimizer steps taken. */
  readonly step: number;
}

/** The factors that change from step to step, each a scalar input of the graph. */
const factorNames = ['gradientScale', 'decay', 'stepSize', 'correction'] as const;
type Factors = Readonly<Record<(typeof factorNames)[number], Tensor<'f32'>>>;

/**
 * AdamW with decoupled weight decay over one flat arena, in place and in float32.
 *
 * A step is `p ← p·(1 - lr·wd)`; `m ← β1·m + (1-β1)·g`; `v ← β2·v + (1-β2)·g²`;
 * `p ← p - lr/(1-β1^t) · m / (√v/√(1-β2^t) + ε)`, as one graph run over slices of the arena.
 *
 * @see Loshchilov and Hutter, arXiv:1711.05101; order as in PyTorch
 */
export class AdamW implements Disposable {
  readonly #options: AdamWOptions;
  readonly #m: Float32Array;
  readonly #v: Float32Array;
  readonly #factors: Factors;
  readonly #session: Session;
  readonly #binding: Binding;
  #step = 0;

  /** @throws SHAPE_MISMATCH when parameters and gradients differ in length */
  constructor(runtime: Runtime, options: AdamWOptions) {
    const { parameters, gradients } = options;
    if (parameters.length !== gradients.length) {
      throw new CxmindError(
        'SHAPE_MISMATCH',
        `adamw: ${parameters.length} parameters, ${gradients.length} gradients`,
      );
    }
    this.#options = options;
    this.#m = zeros('f32', [parameters.length]).data;
    this.#v = zeros('f32', [parameters.length]).data;
    this.#session = runtime.compile(encode(updateGraph(options)), { name: 'adamw' });
    this.#binding = this.#session.bind();
    this.#factors = {
      gradientScale: zeros('f32', []),
      decay: zeros('f32', []),
      stepSize: zeros('f32', []),
      correction: zeros('f32', []),
    };
    for (const name of factorNames) this.#binding.input(name, this.#factors[name]);
  }

  /** The moments themselves, not copies, and the number of steps. */
  get state(): AdamWState {
    return { m: this.#m, v: this.#v, step: this.#step };
  }

  /**
   * Goes on from a saved state, which is copied.
   *
   * @throws CHECKPOINT_INVALID when it belongs to another number of parameters
   */
  load({ m, v, step }: AdamWState): void {
    if (m.length !== this.#m.length || v.length !== this.#v.length) {
      throw new CxmindError(
        'CHECKPOINT_INVALID',
        `adamw: moments of ${m.length} and ${v.length} elements for ${this.#m.length} parameters`,
      );
    }
    this.#m.set(m);
    this.#v.set(v);
    this.#step = step;
  }

  /**
   * One optimizer step.
   *
   * @param lr            learning rate of this step
   * @param gradientScale factor on every gradient, from clipping
   */
  step(lr: number, gradientScale: number): void {
    const { parameters, gradients, betas, weightDecay } = this.#options;
    this.#step++;
    this.#factors.gradientScale.data[0] = gradientScale;
    this.#factors.decay.data[0] = 1 - lr * weightDecay;
    this.#factors.stepSize.data[0] = lr / (1 - betas[0] ** this.#step);
    this.#factors.correction.data[0] = 1 / Math.sqrt(1 - betas[1] ** this.#step);
    for (let start = 0; start < parameters.length; start += SLICE) {
      const slice = (array: Float32Array): Tensor<'f32'> => {
        const data = array.subarray(start, start + SLICE);
        return { dtype: 'f32', shape: [data.length], data };
      };
      const [p, m, v] = [slice(parameters), slice(this.#m), slice(this.#v)];
      this.#binding.input('p', p).input('g', slice(gradients)).input('m', m).input('v', v);
      this.#binding.output('nextP', p).output('nextM', m).output('nextV', v).run();
    }
  }

  [Symbol.dispose](): void {
    this.#binding[Symbol.dispose]();
    this.#session[Symbol.dispose]();
  }
}

/**
 * The update of one slice. Each of p, m and v is read by a single operator, on which its new value
 * depends, so that old and new may share memory.
 */
function updateGraph({ betas: [beta1, beta2], eps }: AdamWOptions): Graph {
  const b = new GraphBuilder('adamw');
  const slice = (name: string): Value => b.input(name, 'f32', ['n']);
  const factor = (name: (typeof factorNames)[number]): Value => b.input(name, 'f32', []);
  const gradient = b.mul(slice('g'), factor('gradientScale'));
  const nextM = b.add(b.mul(slice('m'), b.scalar(beta1)), b.mul(gradient, b.scalar(1 - beta1)));
  const square = b.mul(gradient, gradient);
  const nextV = b.add(b.mul(slice('v'), b.scalar(beta2)), b.mul(square, b.scalar(1 - beta2)));
  const denominator = b.add(b.mul(b.sqrt(nextV), factor('correction')), b.scalar(eps));
  const update = b.mul(b.div(nextM, denominator), factor('stepSize'));
  b.output('nextP', b.sub(b.mul(slice('p'), factor('decay')), update));
  b.output('nextM', nextM);
  b.output('nextV', nextV);
  return b.build();
}
