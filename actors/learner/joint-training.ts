import { mkdir } from 'node:fs/promises';
import type { Device } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import type { Arena } from '../../src/model/weights/arena.ts';

import { Optimization, type OptimizationOptions } from '../../src/training/optimization.ts';
import { Seat, type RankCard } from '../../transport/collectives/open.ts';
import { deviceOptions, SharedWeights, type ModelProps } from '../model-props.ts';
import { DeviceProfile } from '../profile.ts';
import type { ListenRequest, StateRequest } from './protocol.ts';
import { meet, takeSeat, type JoinedGroup, type LearnerSeat } from './seat.ts';
import { readLearnerState, writeLearnerState } from './state-files.ts';

/**
 * Of links between learners, whose threads are silent as long as they compute. A process that is lost is noticed by
 * its node's own link, and ends the run.
 */
const PATIENT = { intervalMs: 60_000, deadAfterMs: 3600_000 };

/** What a model is trained with, besides its loss. */
export interface JointTrainingProps {
  readonly model: ModelProps;
  /** The Hugging Face directory the weights came from: what a saved one looks like. */
  readonly modelPath: string;
  readonly gradientCheckpointing: boolean;
  readonly optimization: OptimizationOptions;
  readonly seat: LearnerSeat;
  /** Whether the other learners step the same memory. */
  readonly sharesWeights: boolean;
}

/**
 * The weights of a model, policy or critic, and their optimizer, as one of several learners has them; what it does
 * with them, it does together with the others.
 */
export class JointTraining implements Disposable {
  readonly device: Device;
  readonly profile: DeviceProfile;
  readonly weights: SharedWeights;
  readonly #props: JointTrainingProps;
  #seat: Seat | null = null;
  #joined: JoinedGroup | null = null;
  #optimizer: Optimization | null = null;

  private constructor(props: JointTrainingProps) {
    this.#props = props;
    this.device = openDevice(deviceOptions(props.model));
    this.profile = new DeviceProfile(this.device);
    this.weights = new SharedWeights(this.device, props.model);
  }

  /** Takes its seat, where that alone says how to join the others; else it does once it is told how. */
  static async open(props: JointTrainingProps): Promise<JointTraining> {
    const training = new JointTraining(props);
    const joined = await takeSeat(props.seat, training.device);
    if (joined !== null) training.#optimizeWith(joined);
    await training.weights.handOver();
    return training;
  }

  get arena(): Arena {
    return this.weights.arena;
  }

  get optimization(): Optimization {
    if (this.#optimizer === null) throw new CxmindError('INTERNAL', 'learner: joined nobody yet');
    return this.#optimizer;
  }

  async listen({ address, keys }: ListenRequest): Promise<RankCard> {
    this.#seat = await Seat.open({ address, keys, heartbeat: PATIENT });
    return this.#seat.card;
  }

  async join(cards: readonly RankCard[]): Promise<void> {
    const { seat } = this.#props;
    if (seat.kind !== 'processes') return;
    this.#optimizeWith(await meet(this.#seat, seat.rank, cards, this.device));
  }

  /** The first learner writes the model, and with it what a run goes on from. */
  async save(
    { directory, modelOnly }: StateRequest,
    signal: AbortSignal,
    saveModel: () => Promise<void>,
  ): Promise<void> {
    await together(this.optimization.collectWeights(), signal);
    if (this.optimization.rank === 0) {
      await mkdir(directory, { recursive: true });
      await saveModel();
    }
    if (modelOnly) return;
    const state = await together(this.optimization.gatherState(), signal);
    if (state !== null) await writeLearnerState(directory, this.weights.trained, state);
  }

  /** The first learner reads: the model alone with `readModel`, or what a run goes on from. */
  async restore(
    { directory, modelOnly }: StateRequest,
    signal: AbortSignal,
    readModel: () => Promise<void>,
  ): Promise<void> {
    const isFirst = this.optimization.rank === 0;
    if (modelOnly) {
      if (isFirst) await readModel();
      await together(this.optimization.takeWeights(), signal);
    } else {
      const { offloadsState = false } = this.#props.optimization;
      const { trained } = this.weights;
      const state = isFirst ? await readLearnerState(directory, trained, offloadsState) : null;
      await together(this.optimization.scatterState(state), signal);
    }
  }

  #optimizeWith(joined: JoinedGroup): void {
    const { optimization, sharesWeights } = this.#props;
    this.#joined = joined;
    const { trained, working } = this.weights;
    const sharing = { ...joined, sharesWeights };
    this.#optimizer = new Optimization(
      this.device,
      trained,
      optimization,
      sharing,
      working.trained,
    );
  }

  /** Leaves the others, which ends what is still being done with them. */
  async leave(): Promise<void> {
    await this.#joined?.leave();
    await this.#seat?.[Symbol.asyncDispose]();
  }

  [Symbol.dispose](): void {
    this.#optimizer?.[Symbol.dispose]();
    this.device[Symbol.dispose]();
  }
}

/** What the learners come to together, or the reason why nobody waits for it: one of them may be gone. */
export async function together<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(asCxmindError(signal.reason));
  signal.addEventListener('abort', onAbort);
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
