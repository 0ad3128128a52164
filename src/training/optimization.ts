import type { Device, View } from '../device/device.ts';
import type { OptimizerName } from '../config/model-schema.ts';
import { CxmindError } from '../errors.ts';
import type { Arena } from '../model/weights/arena.ts';
import { DeviceArena, type AnyArena } from '../model/weights/device-arena.ts';
import { AdamW, type AdamWState, type StateTensor } from '../optim/adamw.ts';
import { clipFactor } from '../optim/clip.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import { fileBuffer, letGo } from '../tensor/file-memory.ts';
import { sharedBuffer, type MakeShared } from '../tensor/memory.ts';
import { rows, tensorOf, zeros } from '../tensor/tensor.ts';
import { DeviceWeights } from './device-weights.ts';
import { exchangeOf, type DeviceExchange, type Sharing } from './exchange.ts';
import { HostWeights } from './host-weights.ts';
import { alone } from './learner-group.ts';
import { Rounding } from './rounding.ts';
import type { SteppedWeights } from './stepped-weights.ts';

/** Options of AdamW and of clipping, from `worker.actor.optim` and `max_grad_norm`. */
export interface OptimizationOptions {
  readonly betas: readonly [number, number];
  readonly weightDecay: number;
  readonly maxGradNorm: number;
  /** `adamw` when left out. */
  readonly strategy?: OptimizerName;
  /** Dtype that weights are rounded to after a step, and gradients before it; f32 when left out. */
  readonly storage?: FloatDType;
  /** Dtype that gradients are rounded to before the learners sum them, and their sum; f32 when left out. */
  readonly reduction?: FloatDType;
  /** Keeps the optimizer's state in this process's memory, or in a file where the device computes in that memory. */
  readonly offloadsState?: boolean;
}

/**
 * The gradients of an arena of weights, and the AdamW that applies them, divided among learners as in ZeRO's first
 * stage.
 *
 * Each learner has all weights and gradients. It steps one part of the weights, and keeps the moments of that part
 * alone.
 *
 * ```
 *               part 0       part 1       part 2      of equal length, padding at the end
 * gradients  | g0 + g0' …  | g1 + g1' …  | …       |  summed part by part to its owner (reduce-scatter)
 * moments    | learner 0   | learner 1   | …       |
 * weights    | stepped by 0| stepped by 1| …       |  then every part to everybody (all-gather)
 * ```
 *
 * All learners call each method together, but for `clearGradients`.
 *
 * @see Rajbhandari et al., ZeRO, arXiv:1910.02054
 */
export class Optimization implements Disposable {
  /** Gradients of the whole layout, in f32. */
  readonly gradients: DeviceArena<'f32'>;
  readonly #device: Device;
  /** Shape of all weights, padding included. */
  readonly #shape: readonly number[];
  /** Number of weights without the padding. */
  readonly #contentLength: number;
  readonly #sharing: Sharing;
  readonly #exchange: DeviceExchange;
  readonly #weights: SteppedWeights;
  readonly #adamW: AdamW;
  readonly #maxGradNorm: number;
  /** Null where gradients are summed in f32. */
  readonly #rounding: Rounding | null;
  /** Allocates arrays as large as the optimizer's state. */
  readonly #stateMemory: MakeShared;
  /** The learner's part of the summed gradients. */
  readonly #ownGradients: View<'f32'>;
  readonly #owned = new DisposableStack();

  /**
   * @param working the weights that models compute with: the same, or a copy in another dtype or in a device's own
   *   memory, which every step keeps up to date
   * @throws SHAPE_MISMATCH when the arena does not divide into equal parts, one for each learner
   */
  constructor(
    device: Device,
    weights: Arena,
    options: OptimizationOptions,
    sharing: Sharing = { group: alone, sharesWeights: true },
    working: AnyArena = weights,
  ) {
    const { size } = sharing.group;
    const { length } = weights.data;
    if (length % size !== 0) {
      throw new CxmindError(
        'SHAPE_MISMATCH',
        `optimization: an arena of ${length} elements does not divide into ${size} equal parts`,
      );
    }
    const { storage = 'f32', reduction = 'f32' } = options;
    const allocate = (count: number): View<'f32'> =>
      this.#owned.use(device.allocate('f32', [count]));
    this.#device = device;
    this.#shape = weights.flat.shape;
    this.#contentLength = weights.content.data.length;
    this.#sharing = sharing;
    this.#exchange = exchangeOf(device, sharing);
    this.#maxGradNorm = options.maxGradNorm;
    const isInFile = options.offloadsState === true && device.host !== null;
    this.#stateMemory = isInFile ? fileBuffer : sharedBuffer;
    this.#weights = this.#owned.use(
      working instanceof DeviceArena
        ? new DeviceWeights(device, weights, working, storage, sharing, this.#exchange)
        : new HostWeights(weights, working, sharing),
    );
    this.gradients = new DeviceArena(weights.layout, allocate(length));
    this.#ownGradients = size === 1 ? this.gradients.flat : allocate(length / size);
    this.#rounding = reduction === 'f32' ? null : this.#owned.use(new Rounding(device, reduction));
    const { own, ownWorking } = this.#weights;
    this.#adamW = this.#owned.use(
      new AdamW(device, {
        parameters: own,
        gradients: this.#ownGradients,
        ...options,
        ...(ownWorking !== null && { working: ownWorking }),
        eps: 1e-8,
      }),
    );
  }

  /** Number of this learner, from 0. */
  get rank(): number {
    return this.#sharing.group.rank;
  }

  clearGradients(): void {
    this.#device.operations.zero(this.gradients.flat);
  }

  /**
   * Sums the learners' gradients, clips them to the global norm and steps the weights in place.
   *
   * Every learner computes the same norm, and so decides alike whether to apply the step.
   *
   * @returns global L2 norm before clipping; where it is not finite, the weights were left alone
   */
  async step(learningRate: number): Promise<number> {
    this.#rounding?.round(this.gradients.flat);
    await this.#exchange.reduceScatter(this.gradients.flat, this.#ownGradients);
    this.#rounding?.round(this.#ownGradients);
    const ownSum = await this.#device.operations.squaredSum(this.#ownGradients);
    const gradientNorm = Math.sqrt(await this.#sum(ownSum));
    if (!Number.isFinite(gradientNorm)) return gradientNorm;
    await this.#adamW.step(learningRate, clipFactor(gradientNorm, this.#maxGradNorm));
    await this.#weights.spread();
    return gradientNorm;
  }

  /** Copies the weights to the memory of learner 0's process. */
  collectWeights(): Promise<void> {
    return this.#weights.collect();
  }

  /** The state of the whole optimizer at learner 0, in the arena's order; null at the others. */
  async gatherState(): Promise<AdamWState | null> {
    const { group } = this.#sharing;
    const { step, ...parts } = await this.#adamW.state();
    const isRoot = group.rank === 0;
    const wholes: Record<string, StateTensor> = {};
    for (const [name, own] of Object.entries<StateTensor>(parts)) {
      const isWhole = group.size === 1;
      const whole = isRoot ? (isWhole ? own : this.#zeros(own.dtype, this.#shape)) : null;
      await group.gather(own, whole, 0);
      letGo(own.data);
      if (whole === null) continue;
      letGo(whole.data);
      wholes[name] = rows(whole, 0, this.#contentLength);
    }
    return isRoot ? { ...(wholes as unknown as Omit<AdamWState, 'step'>), step } : null;
  }

  /**
   * Continues from the state and the weights of learner 0. The state may have been saved by another number of learners.
   *
   * @param state of the whole optimizer at learner 0, null at the others
   * @throws CHECKPOINT_INVALID when it belongs to another number of parameters, or another strategy
   */
  async scatterState(state: AdamWState | null): Promise<void> {
    const { group } = this.#sharing;
    const parts: Record<string, StateTensor> = {};
    for (const [name, { dtype }] of this.#adamW.states) {
      const padded = state === null ? null : this.#padded(name, state[name]);
      const part = group.size === 1 ? padded! : this.#zeros(dtype, this.#ownGradients.shape);
      await group.scatter(padded, part, 0);
      if (padded !== null) letGo(padded.data);
      letGo(part.data);
      parts[name] = part;
    }
    const step = tensorOf('i64', [1], [BigInt(state?.step ?? 0)]);
    await group.broadcast(step, 0);
    const loaded = parts as unknown as Omit<AdamWState, 'step'>;
    this.#adamW.load({ ...loaded, step: Number(step.data[0]) });
    await this.takeWeights();
  }

  /** Copies the weights in the memory of learner 0's process to every learner. */
  takeWeights(): Promise<void> {
    return this.#weights.take();
  }

  /** The sum of a number over the learners. Ranks are added in order, so that every learner gets the same bits. */
  async #sum(value: number): Promise<number> {
    const { group } = this.#sharing;
    // No dtype of a tensor is f64: its bits travel as i64.
    const own = zeros('i64', [1]);
    const all = zeros('i64', [group.size]);
    new Float64Array(own.data.buffer)[0] = value;
    await group.allGather(own, all);
    return new Float64Array(all.data.buffer).reduce((sum, part) => sum + part, 0);
  }

  #padded(name: string, saved: StateTensor | undefined): StateTensor {
    const length = saved?.data.length ?? 0;
    if (saved === undefined || length !== this.#contentLength) {
      throw new CxmindError(
        'CHECKPOINT_INVALID',
        `optimization: ${name} of ${length} elements for ${this.#contentLength} parameters; ` +
          'what is trained, and optim.strategy, have to be as they were',
      );
    }
    if (length === this.#shape[0]) return saved;
    const padded = this.#zeros(saved.dtype, this.#shape);
    padded.data.set(saved.data);
    return padded;
  }

  /** Zeros in the memory of the optimizer's state. */
  #zeros(dtype: StateTensor['dtype'], shape: readonly number[]): StateTensor {
    return zeros(dtype, shape, this.#stateMemory);
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}
