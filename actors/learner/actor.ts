import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { PolicyLossOptions } from '../../src/algorithms/policy-loss.ts';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import type { Arena } from '../../src/model/arena.ts';
import { saveCheckpoint } from '../../src/model/checkpoint.ts';
import { Policy } from '../../src/model/policy.ts';
import { Runtime } from '../../src/ort/runtime.ts';
import { sequenceLength } from '../../src/training/experience.ts';
import type { MicroBatchOptions } from '../../src/training/micro-batches.ts';
import { Optimization, type OptimizationOptions } from '../../src/training/optimization.ts';
import { updatePolicy, type PolicyUpdate } from '../../src/training/policy-update.ts';
import { updateSupervised, type SupervisedStep } from '../../src/training/supervised-update.ts';
import { NetworkSeat } from '../../transport/collectives/network.ts';
import { SharedWeights, type ModelProps } from '../model-props.ts';
import { logProbsReply } from '../reference/actor.ts';
import type { LogProbsReply, LogProbsRequest } from '../reference/protocol.ts';
import { actorFactory, type Actor, type Context } from '../runtime/actor.ts';
import {
  learnerProtocol,
  type ImitateRequest,
  type ListenRequest,
  type StateRequest,
  type UpdateRequest,
} from './protocol.ts';
import { meet, takeSeat, type JoinedGroup, type LearnerSeat, type Meeting } from './seat.ts';
import { readLearnerState, readWeights, writeLearnerState } from './state-files.ts';
import { whereabouts, type Whereabouts } from './whereabouts.ts';

/**
 * Of links between learners, whose threads are silent as long as they compute. A process that is lost is noticed by
 * its node's own link, and ends the run.
 */
const PATIENT = { intervalMs: 60_000, deadAfterMs: 3600_000 };

/** What the learner is made from. */
export interface LearnerProps {
  readonly model: ModelProps;
  /** The Hugging Face directory the weights came from: what a saved one looks like. */
  readonly modelPath: string;
  readonly gradientCheckpointing: boolean;
  readonly optimization: OptimizationOptions;
  readonly loss: PolicyLossOptions;
  readonly updateMicroBatch: MicroBatchOptions;
  readonly experienceMicroBatch: MicroBatchOptions;
  readonly epochs: number;
  readonly temperature: number;
  readonly seat: LearnerSeat;
  /** Whether the other learners step the same memory. */
  readonly sharesWeights: boolean;
}

/** One of the writers of the weights; what it does, it does together with the others. */
export class LearnerActor implements Actor<typeof learnerProtocol> {
  readonly #props: LearnerProps;
  #network: NetworkSeat | null = null;
  #joined: JoinedGroup | null = null;
  readonly #weights: SharedWeights;
  readonly #arena: Arena;
  readonly #runtime: Runtime;
  readonly #policy: Policy;
  #optimizer: Optimization | null = null;

  /** @param joined null until the learner is told how to join the others */
  constructor(props: LearnerProps, joined: JoinedGroup | null) {
    const { model, gradientCheckpointing } = props;
    this.#props = props;
    this.#weights = new SharedWeights(model);
    this.#arena = this.#weights.arena;
    this.#runtime = Runtime.open(model.threads === undefined ? {} : { threads: model.threads });
    this.#policy = new Policy(this.#runtime, model.config, this.#arena, { gradientCheckpointing });
    if (joined !== null) this.#optimizeWith(joined);
  }

  whereabouts(): Whereabouts {
    return whereabouts();
  }

  async listen({ address, keys }: ListenRequest): Promise<{ endpoint: string }> {
    this.#network = await NetworkSeat.open({ address, keys, heartbeat: PATIENT });
    return { endpoint: this.#network.endpoint };
  }

  async join(meeting: Meeting): Promise<void> {
    const { seat } = this.#props;
    if (seat.kind !== 'processes') return;
    this.#optimizeWith(await meet(meeting, seat.rank, this.#network));
  }

  logProbs(request: LogProbsRequest, { signal }: Context): Promise<LogProbsReply> {
    return this.#weights.at(request.policyVersion, signal, () =>
      logProbsReply(this.#policy, request, this.#props.experienceMicroBatch),
    );
  }

  update(
    { miniBatches, learningRate, progress }: UpdateRequest,
    { signal }: Context,
  ): Promise<PolicyUpdate> {
    const { loss, updateMicroBatch: microBatch, epochs, temperature } = this.#props;
    const update = updatePolicy(
      this.#policy,
      this.#optimization,
      miniBatches,
      { loss, microBatch, epochs, temperature, learningRate },
      (done) => progress?.data.set([done]),
    );
    return unlessAborted(update, signal);
  }

  imitate(
    { miniBatch, learningRate }: ImitateRequest,
    { signal }: Context,
  ): Promise<SupervisedStep> {
    const maxTokens = Math.max(1, ...miniBatch.samples.map(sequenceLength));
    const step = updateSupervised(this.#policy, this.#optimization, miniBatch, {
      microBatch: { ...this.#props.updateMicroBatch, maxTokens },
      learningRate,
    });
    return unlessAborted(step, signal);
  }

  async save({ directory, modelOnly }: StateRequest, { signal }: Context): Promise<void> {
    if (this.#optimization.rank === 0) {
      await mkdir(directory, { recursive: true });
      await saveCheckpoint(join(directory, 'huggingface'), {
        from: this.#props.modelPath,
        arena: this.#arena,
      });
    }
    if (modelOnly) return;
    const state = await unlessAborted(this.#optimization.gatherState(), signal);
    if (state !== null) await writeLearnerState(directory, this.#arena, state);
  }

  async restore({ directory, modelOnly }: StateRequest, { signal }: Context): Promise<void> {
    const isFirst = this.#optimization.rank === 0;
    if (modelOnly) {
      if (isFirst) await readWeights(directory, this.#arena);
      await unlessAborted(this.#optimization.takeWeights(), signal);
    } else {
      const state = isFirst ? await readLearnerState(directory, this.#arena) : null;
      await unlessAborted(this.#optimization.scatterState(state), signal);
    }
  }

  get #optimization(): Optimization {
    if (this.#optimizer === null) throw new CxmindError('INTERNAL', 'learner: joined nobody yet');
    return this.#optimizer;
  }

  #optimizeWith(joined: JoinedGroup): void {
    const { optimization, sharesWeights } = this.#props;
    this.#joined = joined;
    this.#optimizer = new Optimization(this.#runtime, this.#arena, optimization, {
      group: joined.group,
      sharesWeights,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#joined?.leave();
    await this.#network?.[Symbol.asyncDispose]();
    this.#optimizer?.[Symbol.dispose]();
    this.#policy[Symbol.dispose]();
    this.#runtime[Symbol.dispose]();
  }
}

/** What the learners come to together, or the reason why nobody waits for it: one of them may be gone. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(asCxmindError(signal.reason));
  signal.addEventListener('abort', onAbort);
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Makes a learner on its thread. */
export const learnerActor = actorFactory(
  learnerProtocol,
  async (props: LearnerProps) => new LearnerActor(props, await takeSeat(props.seat)),
);
