import { join } from 'node:path';
import type { TimedRun } from '../../src/device/device.ts';
import type { PolicyLossOptions } from '../../src/algorithms/policy-loss.ts';
import { saveAdapter } from '../../src/model/checkpoint/adapter-files.ts';
import { saveCheckpoint } from '../../src/model/checkpoint/checkpoint.ts';
import { Policy } from '../../src/model/policy.ts';
import type { ConfigOverrides } from '../../src/model/checkpoint/config-overrides.ts';
import { sequenceLength } from '../../src/training/experience.ts';
import type { MicroBatchOptions } from '../../src/training/micro-batches.ts';
import { updatePolicy } from '../../src/training/policy-update.ts';
import {
  supervisedLoss,
  updateSupervised,
  type SupervisedStep,
} from '../../src/training/supervised-update.ts';
import type { RankCard } from '../../transport/collectives/open.ts';
import { logProbsReply } from '../reference/actor.ts';
import type { LogProbsReply, LogProbsRequest } from '../reference/protocol.ts';
import { actorFactory, type Actor, type Context } from '../runtime/actor.ts';
import { JointTraining, together, type JointTrainingProps } from './joint-training.ts';
import {
  learnerProtocol,
  type ImitateRequest,
  type ImitationLossRequest,
  type ListenRequest,
  type PolicyUpdateReply,
  type StateRequest,
  type UpdateRequest,
} from './protocol.ts';
import { ADAPTER_FOLDER, readTrained } from './state-files.ts';
import { whereabouts, type Whereabouts } from './whereabouts.ts';

/** What the learner is made from. */
export interface LearnerProps extends JointTrainingProps {
  /** Keys laid over the config of the directory that the weights came from. */
  readonly overrides: ConfigOverrides;
  readonly loss: PolicyLossOptions;
  readonly updateMicroBatch: MicroBatchOptions;
  readonly experienceMicroBatch: MicroBatchOptions;
  /** Of reference answers, whose longest sequence is the budget's. */
  readonly imitationMicroBatch: Omit<MicroBatchOptions, 'maxTokens'>;
  readonly epochs: number;
  readonly temperature: number;
}

/** One of the writers of the policy's weights; what it does, it does together with the others. */
export class LearnerActor implements Actor<typeof learnerProtocol> {
  readonly #props: LearnerProps;
  readonly #training: JointTraining;
  readonly #policy: Policy;

  constructor(props: LearnerProps, training: JointTraining) {
    const { model, gradientCheckpointing } = props;
    const { device } = training;
    const { arena, adapter } = training.weights.working;
    this.#props = props;
    this.#training = training;
    this.#policy = new Policy(device, model.config, arena, {
      gradientCheckpointing,
      adapter,
      isVisionFixed: model.isVisionFixed ?? false,
    });
  }

  whereabouts(): Whereabouts {
    return whereabouts();
  }

  listen(request: ListenRequest): Promise<RankCard> {
    return this.#training.listen(request);
  }

  join(cards: readonly RankCard[]): Promise<void> {
    return this.#training.join(cards);
  }

  logProbs(request: LogProbsRequest, { signal }: Context): Promise<LogProbsReply> {
    return this.#training.weights.at(request.policyVersion, signal, () =>
      logProbsReply(this.#policy, request, this.#props.experienceMicroBatch),
    );
  }

  async update(
    { miniBatches, learningRate, progress }: UpdateRequest,
    { signal }: Context,
  ): Promise<PolicyUpdateReply> {
    const { loss, updateMicroBatch: microBatch, epochs, temperature } = this.#props;
    const update = updatePolicy(
      this.#policy,
      this.#training.optimization,
      miniBatches,
      { loss, microBatch, epochs, temperature, learningRate },
      (done) => progress?.data.set([done]),
    );
    const trained = miniBatches.flatMap(({ samples }) => samples.map(({ promptId }) => promptId));
    return { ...(await together(update, signal)), trained };
  }

  imitate(
    { miniBatch, learningRate }: ImitateRequest,
    { signal }: Context,
  ): Promise<SupervisedStep> {
    const step = updateSupervised(this.#policy, this.#training.optimization, miniBatch, {
      microBatch: this.#imitationMicroBatch(miniBatch),
      learningRate,
    });
    return together(step, signal);
  }

  async imitationLoss({ miniBatch }: ImitationLossRequest): Promise<{ loss: number }> {
    const microBatch = this.#imitationMicroBatch(miniBatch);
    return { loss: await supervisedLoss(this.#policy, miniBatch, microBatch) };
  }

  #imitationMicroBatch({ samples }: ImitateRequest['miniBatch']): MicroBatchOptions {
    const maxTokens = Math.max(1, ...samples.map(sequenceLength));
    return { ...this.#props.imitationMicroBatch, maxTokens };
  }

  save(request: StateRequest, { signal }: Context): Promise<void> {
    return this.#training.save(request, signal, () => this.#saveModel(request.directory));
  }

  restore(request: StateRequest, { signal }: Context): Promise<void> {
    const { weights } = this.#training;
    return this.#training.restore(request, signal, () =>
      readTrained(request.directory, this.#props.model.config, weights),
    );
  }

  /** The model as others load it, adapters merged, and beside it the adapters alone. */
  async #saveModel(directory: string): Promise<void> {
    const { model, modelPath: from, overrides } = this.#props;
    const { arena, adapter } = this.#training.weights;
    await saveCheckpoint(join(directory, 'huggingface'), { from, arena, adapter, overrides });
    if (adapter === null) return;
    const base = { base: from, config: model.config };
    await saveAdapter(join(directory, ADAPTER_FOLDER), adapter, base);
  }

  startProfile(): void {
    this.#training.profile.start();
  }

  endProfile(): Promise<TimedRun[]> {
    return this.#training.profile.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#training.leave();
    this.#policy[Symbol.dispose]();
    this.#training[Symbol.dispose]();
  }
}

/** Makes a learner on its thread. */
export const learnerActor = actorFactory(
  learnerProtocol,
  async (props: LearnerProps) => new LearnerActor(props, await JointTraining.open(props)),
);
