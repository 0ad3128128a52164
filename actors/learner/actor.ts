import { join } from 'node:path';
import type { PolicyLossOptions } from '../../src/algorithms/policy-loss.ts';
import { loadAdapter, saveAdapter } from '../../src/model/checkpoint/adapter-files.ts';
import { loadCheckpoint, saveCheckpoint } from '../../src/model/checkpoint/checkpoint.ts';
import { Policy } from '../../src/model/policy.ts';
import { sequenceLength } from '../../src/training/experience.ts';
import type { MicroBatchOptions } from '../../src/training/micro-batches.ts';
import { policyLossOf } from '../../src/training/losses.ts';
import {
  supervisedLoss,
  updateSupervised,
  type SupervisedStep,
} from '../../src/training/supervised-update.ts';
import type { UpdateReport } from '../../src/training/updates.ts';
import type { EvaluateReply } from '../joint/evaluate.ts';
import { TrainedActor, type TrainedProps } from '../joint/trained-actor.ts';
import { actorFactory, type Actor, type Context } from '../runtime/actor.ts';
import { together } from '../runtime/together.ts';
import {
  learnerProtocol,
  type LogProbsRequest,
  type SupervisedLossRequest,
  type SupervisedUpdateRequest,
  type UpdateRequest,
} from './protocol.ts';

/** Folder of a checkpoint that has the adapters, in PEFT's form. */
const ADAPTER_FOLDER = 'lora_adapter';

/** Props of a learner. */
export interface LearnerProps extends TrainedProps {
  /** The policy loss but for the weight of its entropy bonus, which each update names. */
  readonly loss: Omit<PolicyLossOptions, 'entropyCoeff'>;
  /** Micro-batches of reference answers. Their budget is the longest sequence of a mini-batch. */
  readonly supervisedMicroBatch: Omit<MicroBatchOptions, 'maxTokens'>;
  readonly temperature: number;
  /** Tokens that rollouts never sample, which have no probability here either. */
  readonly bannedTokens: readonly number[];
}

/** A learner: the trained actor with the head of a policy, or with adapters beside its weights. */
export class LearnerActor
  extends TrainedActor<LearnerProps, Policy>
  implements Actor<typeof learnerProtocol>
{
  logProbs(
    { withEntropies, ...request }: LogProbsRequest,
    context: Context,
  ): Promise<EvaluateReply> {
    if (!withEntropies) return this.evaluate(request, context);
    return this.evaluate(request, context, (batch) =>
      this.model.logProbsAndEntropies(batch, request.temperature),
    );
  }

  update(request: UpdateRequest, context: Context): Promise<UpdateReport> {
    const { temperature } = this.props;
    const { entropyCoeff } = request;
    const loss = policyLossOf({ ...this.props.loss, entropyCoeff });
    const withEntropies = entropyCoeff !== 0;
    return this.train(request, context, loss, { temperature, withEntropies });
  }

  updateSupervised(
    { miniBatch, learningRate }: SupervisedUpdateRequest,
    { signal }: Context,
  ): Promise<SupervisedStep> {
    const step = updateSupervised(this.model, this.optimization, miniBatch, {
      microBatch: this.#supervisedMicroBatch(miniBatch),
      learningRate,
    });
    return together(step, signal);
  }

  async supervisedLoss({ miniBatch }: SupervisedLossRequest): Promise<{ loss: number }> {
    const microBatch = this.#supervisedMicroBatch(miniBatch);
    return { loss: await supervisedLoss(this.model, miniBatch, microBatch) };
  }

  protected makeModel(): Policy {
    const { model, gradientCheckpointing, bannedTokens } = this.props;
    const { arena, adapter } = this.weights.working;
    return new Policy(this.device, model.config, arena, {
      gradientCheckpointing,
      adapter,
      isVisionFixed: model.isVisionFixed,
      bannedTokens,
    });
  }

  /** Saves the model with its adapters merged, and beside it the adapters alone. */
  protected async saveModel(directory: string): Promise<void> {
    const { model, modelPath: from, overrides } = this.props;
    const { arena, adapter } = this.weights;
    await saveCheckpoint(join(directory, 'huggingface'), { from, arena, adapter, overrides });
    if (adapter === null) return;
    const base = { base: from, config: model.config };
    await saveAdapter(join(directory, ADAPTER_FOLDER), adapter, base);
  }

  protected async readModel(directory: string): Promise<void> {
    const { arena, adapter, trained } = this.weights;
    const { config } = this.props.model;
    const saved =
      adapter === null
        ? await loadCheckpoint(join(directory, 'huggingface'))
        : await loadAdapter(join(directory, ADAPTER_FOLDER), config);
    (adapter === null ? arena : trained).data.set(saved.arena.content.data);
  }

  #supervisedMicroBatch({ samples }: SupervisedUpdateRequest['miniBatch']): MicroBatchOptions {
    const maxTokens = Math.max(1, ...samples.map(sequenceLength));
    return { ...this.props.supervisedMicroBatch, maxTokens };
  }
}

/** Makes a learner on its thread. */
export const learnerActor = actorFactory(learnerProtocol, (props: LearnerProps) =>
  new LearnerActor(props).start(),
);
