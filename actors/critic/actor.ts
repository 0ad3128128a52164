import { join } from 'node:path';
import type { TimedRun } from '../../src/device/device.ts';
import type { ValueLossOptions } from '../../src/algorithms/value-loss.ts';
import { saveValueCheckpoint } from '../../src/model/checkpoint/value-checkpoint.ts';
import type { ConfigOverrides } from '../../src/model/checkpoint/config-overrides.ts';
import { ValueModel } from '../../src/model/value-model.ts';
import type { MicroBatchOptions } from '../../src/training/micro-batches.ts';
import type { UpdateReport } from '../../src/training/mini-batch-updates.ts';
import { responseValues } from '../../src/training/response-scores.ts';
import { updateValues } from '../../src/training/value-update.ts';
import type { RankCard } from '../../transport/collectives/open.ts';
import { JointTraining, together, type JointTrainingProps } from '../learner/joint-training.ts';
import type { ListenRequest, StateRequest } from '../learner/protocol.ts';
import { readValueWeights } from '../learner/state-files.ts';
import { whereabouts, type Whereabouts } from '../learner/whereabouts.ts';
import { actorFactory, type Actor, type Context } from '../runtime/actor.ts';
import {
  criticProtocol,
  type ValuesReply,
  type ValuesRequest,
  type ValueUpdateRequest,
} from './protocol.ts';

/** What the critic is made from. */
export interface CriticProps extends JointTrainingProps {
  /** Keys laid over the config of the directory that the weights came from. */
  readonly overrides: ConfigOverrides;
  readonly loss: ValueLossOptions;
  readonly updateMicroBatch: MicroBatchOptions;
  readonly experienceMicroBatch: MicroBatchOptions;
  readonly epochs: number;
}

/** One of the writers of the value model's weights; what it does, it does together with the others. */
export class CriticActor implements Actor<typeof criticProtocol> {
  readonly #props: CriticProps;
  readonly #training: JointTraining;
  readonly #model: ValueModel;

  constructor(props: CriticProps, training: JointTraining) {
    const { model, gradientCheckpointing } = props;
    const { device, weights } = training;
    this.#props = props;
    this.#training = training;
    this.#model = new ValueModel(device, model.config, weights.working.arena, {
      gradientCheckpointing,
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

  values(
    { sequences, version, progress }: ValuesRequest,
    { signal }: Context,
  ): Promise<ValuesReply> {
    return this.#training.weights.at(version, signal, async () => {
      const report = (done: number): void => progress?.data.set([done]);
      const { experienceMicroBatch: microBatch } = this.#props;
      const values = await responseValues(this.#model, sequences, microBatch, report);
      return { values: values.map((data) => ({ dtype: 'f32', shape: [data.length], data })) };
    });
  }

  update(
    { miniBatches, learningRate, progress }: ValueUpdateRequest,
    { signal }: Context,
  ): Promise<UpdateReport> {
    const { loss, updateMicroBatch: microBatch, epochs } = this.#props;
    const update = updateValues(
      this.#model,
      this.#training.optimization,
      miniBatches,
      { loss, microBatch, epochs, learningRate },
      (done) => progress?.data.set([done]),
    );
    return together(update, signal);
  }

  save(request: StateRequest, { signal }: Context): Promise<void> {
    return this.#training.save(request, signal, () =>
      saveValueCheckpoint(join(request.directory, 'huggingface'), {
        from: this.#props.modelPath,
        arena: this.#training.arena,
        overrides: this.#props.overrides,
      }),
    );
  }

  restore(request: StateRequest, { signal }: Context): Promise<void> {
    return this.#training.restore(request, signal, () =>
      readValueWeights(request.directory, this.#training.arena),
    );
  }

  startProfile(): void {
    this.#training.profile.start();
  }

  endProfile(): Promise<TimedRun[]> {
    return this.#training.profile.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#training.leave();
    this.#model[Symbol.dispose]();
    this.#training[Symbol.dispose]();
  }
}

/** Makes a critic on its thread. */
export const criticActor = actorFactory(
  criticProtocol,
  async (props: CriticProps) => new CriticActor(props, await JointTraining.open(props)),
);
