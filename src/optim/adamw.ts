import type { BoundProgram, Device, View } from '../device/device.ts';
import type { OptimizerName } from '../config/model-schema.ts';
import { CxmindError } from '../errors.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import { fileBuffer, letGo } from '../tensor/file-memory.ts';
import { sharedBuffer } from '../tensor/memory.ts';
import { slices } from '../tensor/slices.ts';
import { rows, sizeOf, tensorOf, zeros, type Tensor } from '../tensor/tensor.ts';
import {
  factorNames,
  nextOf,
  strategies,
  type FactorName,
  type StateName,
  type Strategy,
} from './adamw-graph.ts';
import { slicedArray, type Placed, type SlicedArray } from './sliced-array.ts';

/**
 * Elements updated at a time on the CPU. They are enough for ONNX Runtime to divide each operator among its threads,
 * and few enough for a thread's share of all operands to stay in its cache from one operator to the next.
 */
const SLICE = 2 ** 17;
/** Elements updated at a time on a device to which they are copied: enough to make the copy worth its start. */
const FAR_SLICE = 2 ** 22;

/** Elements of an array that AdamW updates at a time. @param isFar true where some of them are copied to the device */
export function elementsAtOnce(device: Device, length: number, isFar: boolean): number {
  if (!device.isAddressable) return length;
  return device.host !== null ? SLICE : isFar ? FAR_SLICE : length;
}

/** The arrays that AdamW updates, and its constants. */
export interface AdamWOptions {
  /** Parameters `[N]`, updated in place; bf16 only where `storage` is. */
  readonly parameters: Placed<'f32' | 'bf16'>;
  /** Gradients `[N]`, read only. */
  readonly gradients: View<'f32'>;
  /** Decay of the first and second moment per step. */
  readonly betas: readonly [number, number];
  /** Decoupled decay: the parameters shrink by `lr · weightDecay` a step. */
  readonly weightDecay: number;
  /** Added to the root of the second moment before dividing by it; 1e-8 in the reference. */
  readonly eps: number;
  /** `adamw` when left out. */
  readonly strategy?: OptimizerName;
  /** Dtype that parameters and gradients are rounded to; f32, which rounds nothing, when left out. */
  readonly storage?: FloatDType;
  /** Copy of the parameters in another dtype, `[N]`, which every step writes too; none when left out. */
  readonly working?: Placed;
  /**
   * Keeps the state in this process's memory, or in a file where the device computes in that memory. The device, or
   * the memory, then holds one slice of it at a time.
   */
  readonly offloadsState?: boolean;
}

/** An array of an optimizer's state. */
export type StateTensor = Tensor<'f32' | 'bf16'>;

/** State of the optimizer in a checkpoint. */
export interface AdamWState {
  /** First moment, `[N]`. */
  readonly m: StateTensor;
  /** Second moment, `[N]`. */
  readonly v: StateTensor;
  /** Kahan compensation `[N]`, the rounding error of the last step; `adamw_bf16` only. */
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
  readonly #parameters: SlicedArray<'f32' | 'bf16'>;
  readonly #gradients: SlicedArray<'f32'>;
  readonly #working: SlicedArray | null;
  readonly #states = new Map<StateName, SlicedArray<'f32' | 'bf16'>>();
  /** Elements updated at a time. */
  readonly #slice: number;
  readonly #factors = new Map<FactorName, View<'f32'>>();
  readonly #run: BoundProgram;
  readonly #owned = new DisposableStack();
  #step = 0;

  /** @throws SHAPE_MISMATCH when parameters and gradients differ in length */
  constructor(device: Device, options: AdamWOptions) {
    const { parameters, gradients, storage = 'f32', working, offloadsState = false } = options;
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
    this.#parameters = this.#owned.use(slicedArray(device, parameters));
    this.#gradients = this.#owned.use(slicedArray(device, gradients));
    this.#working = working === undefined ? null : this.#owned.use(slicedArray(device, working));
    for (const name of strategy.states) {
      this.#states.set(name, this.#newState(strategy.stateDType, length, offloadsState));
    }
    const arrays = [parameters, ...(working === undefined ? [] : [working])];
    const isFar = offloadsState || arrays.some((array) => !('device' in array));
    this.#slice = elementsAtOnce(device, length, isFar);
    const graph = strategy.graph({
      ...options,
      storage,
      parameters: parameters.dtype,
      working: working?.dtype,
    });
    const program = this.#owned.use(device.compile(graph));
    this.#run = this.#owned.use(program.bind());
    for (const name of factorNames) {
      if (!graph.inputs.some((input) => input.name === name)) continue;
      const factor = this.#owned.use(device.allocate('f32', []));
      this.#factors.set(name, factor);
      this.#run.input(name, factor);
    }
  }

  /** Optimizer steps taken. */
  get steps(): number {
    return this.#step;
  }

  /** The optimizer's arrays by name, in the strategy's order. */
  get states(): ReadonlyMap<StateName, SlicedArray<'f32' | 'bf16'>> {
    return this.#states;
  }

  /** State for a checkpoint: the arrays themselves where this process can see them, else copies. */
  async state(): Promise<AdamWState> {
    const arrays: Partial<Record<StateName, StateTensor>> = {};
    for (const [name, own] of this.#states) arrays[name] = await own.read();
    return { ...(arrays as Omit<AdamWState, 'step'>), step: this.#step };
  }

  /**
   * Continues from a saved state, which is copied.
   *
   * @throws CHECKPOINT_INVALID when it belongs to another number of parameters, or another strategy
   */
  load(state: AdamWState): void {
    for (const [name, own] of this.#states) {
      const saved = state[name];
      const [size, wanted] = [saved?.data.length ?? 0, own.length];
      if (saved === undefined || size !== wanted || saved.dtype !== own.dtype) {
        throw new CxmindError(
          'CHECKPOINT_INVALID',
          `adamw: ${name} of ${size} elements for ${wanted} parameters, ` +
            `or of another optim.strategy than ${this.#options.strategy ?? 'adamw'}`,
        );
      }
      for (const { start, length } of slices(this.#parameters.length, this.#slice)) {
        const from = rows(saved, start, start + length);
        own.fill(start, from);
        letGo(from.data);
      }
    }
    this.#step = state.step;
  }

  /**
   * Takes one optimizer step.
   *
   * @param lr            learning rate of this step
   * @param gradientScale factor on every gradient, from clipping
   */
  async step(lr: number, gradientScale: number): Promise<void> {
    const { betas, weightDecay } = this.#options;
    this.#step++;
    const root = Math.sqrt(1 - betas[1] ** this.#step);
    this.#setFactors({
      gradientScale,
      decay: 1 - lr * weightDecay,
      stepSize: lr / (1 - betas[0] ** this.#step),
      root,
      inverseRoot: 1 / root,
    });
    for (const { start, length } of slices(this.#parameters.length, this.#slice)) {
      const taken: [SlicedArray, View<FloatDType>][] = [];
      const take = (array: SlicedArray): View => {
        const slice = array.take(start, length);
        taken.push([array, slice]);
        return slice;
      };
      const p = take(this.#parameters);
      this.#run.input('p', p).input('g', this.#gradients.take(start, length)).output('nextP', p);
      if (this.#working !== null) this.#run.output('working', take(this.#working));
      for (const [name, array] of this.#states) {
        const state = take(array);
        this.#run.input(name, state).output(nextOf(name), state);
      }
      this.#run.run();
      for (const [array, slice] of taken) await array.put(start, slice);
    }
  }

  #newState<D extends FloatDType>(dtype: D, length: number, isOffloaded: boolean): SlicedArray<D> {
    const device = this.#device;
    const array = isOffloaded
      ? zeros(dtype, [length], device.host === null ? sharedBuffer : fileBuffer)
      : this.#owned.use(device.allocate(dtype, [length]));
    return this.#owned.use(slicedArray(device, array));
  }

  #setFactors(values: Readonly<Record<FactorName, number>>): void {
    for (const [name, view] of this.#factors) {
      this.#device.upload(tensorOf('f32', [], [values[name]]), view);
    }
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}
