import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { PolicyLossOptions } from '../../src/algorithms/policy-loss.ts';
import { CxmindError } from '../../src/errors.ts';
import type { Arena } from '../../src/model/arena.ts';
import { loadCheckpoint, saveCheckpoint } from '../../src/model/checkpoint.ts';
import { Policy } from '../../src/model/policy.ts';
import { readSafetensors, writeSafetensors } from '../../src/model/safetensors.ts';
import { Runtime } from '../../src/ort/runtime.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import { sequenceLength } from '../../src/training/experience.ts';
import type { MicroBatchOptions } from '../../src/training/micro-batches.ts';
import { Optimization, type OptimizationOptions } from '../../src/training/optimization.ts';
import { updatePolicy, type MetricLists } from '../../src/training/policy-update.ts';
import { updateSupervised } from '../../src/training/supervised-update.ts';
import { arenaOf, type ModelProps } from '../model-props.ts';
import { logProbsReply } from '../reference/actor.ts';
import type { LogProbsReply, LogProbsRequest } from '../reference/protocol.ts';
import { actorFactory, type Actor } from '../runtime/actor.ts';
import {
  learnerProtocol,
  type ImitateRequest,
  type StateRequest,
  type UpdateRequest,
} from './protocol.ts';

/** What the learner is made from. */
export interface LearnerProps {
  readonly model: ModelProps;
  /** The Hugging Face directory the weights came from: what a saved one looks like. */
  readonly modelPath: string;
  readonly gradientCheckpointing: boolean;
  readonly optimization: OptimizationOptions;
  readonly loss: PolicyLossOptions;
  /** Samples of one optimizer step. */
  readonly miniBatchSize: number;
  readonly updateMicroBatch: MicroBatchOptions;
  readonly experienceMicroBatch: MicroBatchOptions;
  readonly epochs: number;
  readonly temperature: number;
}

/** The one writer of the weights. */
export class LearnerActor implements Actor<typeof learnerProtocol> {
  readonly #props: LearnerProps;
  readonly #arena: Arena;
  readonly #runtime: Runtime;
  readonly #policy: Policy;
  readonly #optimization: Optimization;

  constructor(props: LearnerProps) {
    const { model, gradientCheckpointing, optimization } = props;
    this.#props = props;
    this.#arena = arenaOf(model);
    this.#runtime = Runtime.open(model.threads === undefined ? {} : { threads: model.threads });
    this.#policy = new Policy(this.#runtime, model.config, this.#arena, { gradientCheckpointing });
    this.#optimization = new Optimization(this.#runtime, this.#arena, optimization);
  }

  logProbs(request: LogProbsRequest): LogProbsReply {
    return logProbsReply(this.#policy, request, this.#props.experienceMicroBatch);
  }

  update({ experiences, learningRate, progress }: UpdateRequest): { metrics: MetricLists } {
    const { loss, miniBatchSize, updateMicroBatch: microBatch, epochs, temperature } = this.#props;
    const metrics = updatePolicy(
      this.#policy,
      this.#optimization,
      experiences,
      { loss, miniBatchSize, microBatch, epochs, temperature, learningRate },
      (done) => progress?.data.set([done]),
    );
    return { metrics };
  }

  imitate({ samples, learningRate }: ImitateRequest): {
    loss: number;
    gradientNorm: number;
    tokens: number;
  } {
    const maxTokens = Math.max(1, ...samples.map(sequenceLength));
    return updateSupervised(this.#policy, this.#optimization, samples, {
      microBatch: { ...this.#props.updateMicroBatch, maxTokens },
      learningRate,
    });
  }

  async save({ directory, modelOnly }: StateRequest): Promise<void> {
    await mkdir(directory, { recursive: true });
    await saveCheckpoint(join(directory, 'huggingface'), {
      from: this.#props.modelPath,
      arena: this.#arena,
    });
    if (modelOnly) return;
    const { m, v, step } = this.#optimization.adamW.state;
    const flat = (data: Float32Array) => ({ dtype: 'f32', shape: [data.length], data }) as const;
    await writeSafetensors(join(directory, 'optimizer.safetensors'), [
      { name: 'weights', tensor: flat(this.#arena.data) },
      { name: 'm', tensor: flat(m) },
      { name: 'v', tensor: flat(v) },
      { name: 'step', tensor: tensorOf('i64', [1], [BigInt(step)]) },
    ]);
  }

  async restore({ directory, modelOnly }: StateRequest): Promise<void> {
    if (modelOnly) {
      const { arena } = await loadCheckpoint(join(directory, 'huggingface'));
      this.#arena.data.set(arena.data);
      return;
    }
    const file = join(directory, 'optimizer.safetensors');
    const tensors = await readSafetensors(file);
    const flat = (name: string): Float32Array => {
      const data = tensors.get(name)?.data;
      if (data instanceof Float32Array && data.length === this.#arena.data.length) return data;
      throw new CxmindError('CHECKPOINT_INVALID', `${file}: ${name} does not fit the model`);
    };
    this.#arena.data.set(flat('weights'));
    const step = Number(tensors.get('step')?.data[0] ?? 0);
    this.#optimization.adamW.load({ m: flat('m'), v: flat('v'), step });
  }

  [Symbol.dispose](): void {
    this.#optimization[Symbol.dispose]();
    this.#policy[Symbol.dispose]();
    this.#runtime[Symbol.dispose]();
  }
}

/** Makes the learner on its thread. */
export const learnerActor = actorFactory(
  learnerProtocol,
  (props: LearnerProps) => new LearnerActor(props),
);
