import { CxmindError } from '../errors.ts';
import { encode } from '../graph/encode.ts';
import type { Binding } from '../ort/binding.ts';
import type { Runtime } from '../ort/runtime.ts';
import type { Session } from '../ort/session.ts';
import { zeros, type Tensor } from '../tensor/tensor.ts';
import {
  factorNames,
  nextOf,
  strategies,
  type FactorName,
  type StateName,
  type StorageDType,
  type Strategy,
  type StrategyName,
} from './adamw-graph.ts';

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
  /** `adamw` when left out. */
  readonly strategy?: StrategyName;
  /** What parameters and gradients are rounded to; f32, which rounds nothing, when left out. */
  readonly storage?: StorageDType;
}

/** An array of an optimizer's state: f32, or the bits of bf16. */
export type StateArray = Float32Array | Uint16Array;

/** What a checkpoint keeps of the optimizer. */
export interface AdamWState {
  /** `[N]`, first moment, on shared memory. */
  readonly m: StateArray;
  /** `[N]`, second moment, on shared memory. */
  readonly v: StateArray;
  /** `[N]`, what the last step lost in rounding, on shared memory; of `adamw_bf16` alone. */
  readonly c?: StateArray;
  /** Optimizer steps taken. */
  readonly step: number;
}

/**
 * AdamW with decoupled weight decay over one flat arena, in place.
 *
 * A step is `p ← p·(1 - lr·wd)`; `m ← β1·m + (1-β1)·g`; `v ← β2·v + (1-β2)·g²`;
 * `p ← p - lr/(1-β1^t) · m / (√v/√(1-β2^t) + ε)`, as one graph run over slices of the arena: in float32, or with
 * moments in bf16 and Kahan summation.
 *
 * @see Loshchilov and Hutter, arXiv:1711.05101; order as in PyTorch
 */
export class AdamW implements Disposable {
  readonly #options: AdamWOptions;
  readonly #states = new Map<StateName, Tensor<'f32' | 'bf16'>>();
  readonly #factors: Readonly<Record<FactorName, Tensor<'f32'>>>;
  readonly #session: Session;
  readonly #binding: Binding;
  #step = 0;

  /** @throws SHAPE_MISMATCH when parameters and gradients differ in length */
  constructor(runtime: Runtime, options: AdamWOptions) {
    const { parameters, gradients, storage = 'f32' } = options;
    if (parameters.length !== gradients.length) {
      throw new CxmindError(
        'SHAPE_MISMATCH',
        `adamw: ${parameters.length} parameters, ${gradients.length} gradients`,
      );
    }
    const strategy: Strategy = strategies[options.strategy ?? 'adamw'];
    this.#options = options;
    for (const name of strategy.states) {
      this.#states.set(name, zeros(strategy.stateDType, [parameters.length]));
    }
    const graph = strategy.graph({ ...options, storage });
    this.#session = runtime.compile(encode(graph), { name: graph.name });
    this.#binding = this.#session.bind();
    this.#factors = {
      gradientScale: zeros('f32', []),
      decay: zeros('f32', []),
      stepSize: zeros('f32', []),
      root: zeros('f32', []),
      inverseRoot: zeros('f32', []),
    };
    for (const name of factorNames) {
      const isRead = graph.inputs.some((input) => input.name === name);
      if (isRead) this.#binding.input(name, this.#factors[name]);
    }
  }

  /** The moments themselves, not copies, and the number of steps. */
  get state(): AdamWState {
    const arrays = Object.fromEntries([...this.#states].map(([name, { data }]) => [name, data]));
    return { ...(arrays as unknown as Omit<AdamWState, 'step'>), step: this.#step };
  }

  /**
   * Goes on from a saved state, which is copied.
   *
   * @throws CHECKPOINT_INVALID when it belongs to another number of parameters, or another strategy
   */
  load(state: AdamWState): void {
    for (const [name, { data }] of this.#states) {
      const saved = state[name];
      if (saved?.length !== data.length || saved.constructor !== data.constructor) {
        throw new CxmindError(
          'CHECKPOINT_INVALID',
          `adamw: ${name} of ${saved?.length ?? 0} elements for ${data.length} parameters, ` +
            `or of another optim.strategy than ${this.#options.strategy ?? 'adamw'}`,
        );
      }
      data.set(saved);
    }
    this.#step = state.step;
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
    const root = Math.sqrt(1 - betas[1] ** this.#step);
    this.#factors.gradientScale.data[0] = gradientScale;
    this.#factors.decay.data[0] = 1 - lr * weightDecay;
    this.#factors.stepSize.data[0] = lr / (1 - betas[0] ** this.#step);
    this.#factors.root.data[0] = root;
    this.#factors.inverseRoot.data[0] = 1 / root;
    for (let start = 0; start < parameters.length; start += SLICE) {
      const p = sliceOf({ dtype: 'f32', shape: [], data: parameters }, start);
      const g = sliceOf({ dtype: 'f32', shape: [], data: gradients }, start);
      this.#binding.input('p', p).input('g', g).output('nextP', p);
      for (const [name, whole] of this.#states) {
        const state = sliceOf(whole, start);
        this.#binding.input(name, state).output(nextOf(name), state);
      }
      this.#binding.run();
    }
  }

  [Symbol.dispose](): void {
    this.#binding[Symbol.dispose]();
    this.#session[Symbol.dispose]();
  }
}

function sliceOf({ dtype, data }: Tensor<'f32' | 'bf16'>, start: number): Tensor<'f32' | 'bf16'> {
  const part = data.subarray(start, start + SLICE);
  return { dtype, shape: [part.length], data: part };
}
