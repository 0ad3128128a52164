import type { BoundProgram, Device, Program, View } from '../device/device.ts';
import { bringInView, letGoView, readTensor } from '../device/host-tensors.ts';
import { CxmindError } from '../errors.ts';
import type { DType, FloatDType } from '../tensor/dtype.ts';
import { fileBuffer, letGo } from '../tensor/file-memory.ts';
import { rows, sizeOf, tensorOf, zeros, type Tensor } from '../tensor/tensor.ts';
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
 * Elements updated at a time on the processor: enough for ONNX Runtime to divide each operator among its threads, few
 * enough for a thread's share of all operands to stay in its cache from one operator to the next.
 */
const SLICE = 2 ** 17;

/** What AdamW updates and how. */
export interface AdamWOptions {
  /** `[N]`, updated in place; of bf16 where `storage` is. */
  readonly parameters: View<'f32' | 'bf16'>;
  /** `[N]`, read only. */
  readonly gradients: View<'f32'>;
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
  /** `[N]`, a copy of the parameters in another dtype, which every step writes too; none when left out. */
  readonly working?: View<FloatDType>;
  /**
   * On the processor, keeps the state in a file, of which no more than the slice that is being updated is in memory.
   */
  readonly offloadsState?: boolean;
}

/** An array of an optimizer's state. */
export type StateTensor = Tensor<'f32' | 'bf16'>;

/** What a checkpoint keeps of the optimizer. */
export interface AdamWState {
  /** `[N]`, first moment. */
  readonly m: StateTensor;
  /** `[N]`, second moment. */
  readonly v: StateTensor;
  /** `[N]`, what the last step lost in rounding; of `adamw_bf16` alone. */
  readonly c?: StateTensor;
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
  readonly #device: Device;
  readonly #options: AdamWOptions;
  readonly #states = new Map<StateName, View<'f32' | 'bf16'> & Disposable>();
  readonly #factors = new Map<FactorName, View<'f32'> & Disposable>();
  readonly #program: Program;
  readonly #run: BoundProgram;
  #step = 0;

  /** @throws SHAPE_MISMATCH when parameters and gradients differ in length */
  constructor(device: Device, options: AdamWOptions) {
    const { parameters, gradients, storage = 'f32', working } = options;
    const [length, gradientsLength] = [sizeOf(parameters.shape), sizeOf(gradients.shape)];
    if (length !== gradientsLength) {
      throw new CxmindError(
        'SHAPE_MISMATCH',
        `adamw: ${length} parameters, ${gradientsLength} gradients`,
      );
    }
    const strategy: Strategy = strategies[options.strategy ?? 'adamw'];
    this.#device = device;
    this.#options = options;
    for (const name of strategy.states) {
      this.#states.set(name, this.#allocate(strategy.stateDType, [length]));
    }
    const graph = strategy.graph({
      ...options,
      storage,
      parameters: parameters.dtype,
      working: working?.dtype,
    });
    this.#program = device.compile(graph);
    this.#run = this.#program.bind();
    for (const name of factorNames) {
      if (!graph.inputs.some((input) => input.name === name)) continue;
      const factor = device.allocate('f32', []);
      this.#factors.set(name, factor);
      this.#run.input(name, factor);
    }
  }

  /** Optimizer steps taken. */
  get steps(): number {
    return this.#step;
  }

  /** The arrays that a checkpoint keeps, where they lie; their dtypes and sizes are the strategy's. */
  get states(): ReadonlyMap<StateName, View<'f32' | 'bf16'>> {
    return this.#states;
  }

  /** What a checkpoint keeps: the arrays themselves where this process can see them, else copies. */
  async state(): Promise<AdamWState> {
    const arrays: Partial<Record<StateName, StateTensor>> = {};
    for (const [name, view] of this.#states) arrays[name] = await readTensor(view);
    return { ...(arrays as Omit<AdamWState, 'step'>), step: this.#step };
  }

  /**
   * Goes on from a saved state, which is copied.
   *
   * @throws CHECKPOINT_INVALID when it belongs to another number of parameters, or another strategy
   */
  load(state: AdamWState): void {
    for (const [name, view] of this.#states) {
      const saved = state[name];
      const [size, wanted] = [saved?.data.length ?? 0, sizeOf(view.shape)];
      if (saved === undefined || size !== wanted || saved.dtype !== view.dtype) {
        throw new CxmindError(
          'CHECKPOINT_INVALID',
          `adamw: ${name} of ${size} elements for ${wanted} parameters, ` +
            `or of another optim.strategy than ${this.#options.strategy ?? 'adamw'}`,
        );
      }
      for (const { start, shape } of this.#slices()) {
        const from = rows(saved, start, start + shape[0]);
        const to = this.#part(view, start, shape);
        this.#device.upload(from, to);
        letGoView(to);
        letGo(from.data);
      }
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
    const { parameters, gradients, working, betas, weightDecay } = this.#options;
    this.#step++;
    const root = Math.sqrt(1 - betas[1] ** this.#step);
    this.#setFactors({
      gradientScale,
      decay: 1 - lr * weightDecay,
      stepSize: lr / (1 - betas[0] ** this.#step),
      root,
      inverseRoot: 1 / root,
    });
    for (const { start, shape } of this.#slices()) {
      const p = this.#part(parameters, start, shape);
      const written: View[] = [p];
      this.#run
        .input('p', p)
        .input('g', this.#part(gradients, start, shape))
        .output('nextP', p);
      if (working !== undefined) {
        const copy = this.#part(working, start, shape);
        this.#run.output('working', copy);
        written.push(copy);
      }
      for (const [name, whole] of this.#states) {
        const state = this.#part(whole, start, shape);
        this.#run.input(name, state).output(nextOf(name), state);
        written.push(state);
      }
      for (const view of written) bringInView(view, 'write');
      this.#run.run();
      for (const view of written) letGoView(view);
    }
  }

  /** What is updated at a time. */
  *#slices(): Iterable<{ readonly start: number; readonly shape: readonly [number] }> {
    const length = sizeOf(this.#options.parameters.shape);
    const piece = this.#device.host === null ? length : SLICE;
    for (let start = 0; start < length; start += piece) {
      yield { start, shape: [Math.min(piece, length - start)] };
    }
  }

  #part(view: View, start: number, shape: readonly [number]): View {
    return shape[0] === view.shape[0] ? view : this.#device.part(view, start, shape);
  }

  #allocate<D extends DType>(dtype: D, shape: readonly number[]): View<D> & Disposable {
    const { host } = this.#device;
    if (host === null || this.#options.offloadsState !== true) {
      return this.#device.allocate(dtype, shape);
    }
    // The collector takes the file with the memory.
    return { ...host.view(zeros(dtype, shape, fileBuffer)), [Symbol.dispose]: () => undefined };
  }

  #setFactors(values: Readonly<Record<FactorName, number>>): void {
    for (const [name, view] of this.#factors) {
      this.#device.upload(tensorOf('f32', [], [values[name]]), view);
    }
  }

  [Symbol.dispose](): void {
    this.#run[Symbol.dispose]();
    this.#program[Symbol.dispose]();
    for (const view of [...this.#states.values(), ...this.#factors.values()]) {
      view[Symbol.dispose]();
    }
  }
}
