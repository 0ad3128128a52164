import { join } from 'node:path';
import type { ValueLossOptions } from '../../src/algorithms/value-loss.ts';
import { contentLength } from '../../src/model/weights/arena-layout.ts';
import {
  loadValueCheckpoint,
  saveValueCheckpoint,
} from '../../src/model/checkpoint/value-checkpoint.ts';
import { ValueModel } from '../../src/model/value-model.ts';
import { valueLossOf } from '../../src/training/losses.ts';
import { responseScores } from '../../src/training/response-scores.ts';
import { updateByMiniBatches, type UpdateReport } from '../../src/training/updates.ts';
import { together, TrainedActor, type TrainedProps } from '../joint/trained-actor.ts';
import { actorFactory, type Actor, type Context } from '../runtime/actor.ts';
import {
  criticProtocol,
  type ValuesReply,
  type ValuesRequest,
  type ValueUpdateRequest,
} from './protocol.ts';

/** Props of a critic. */
export interface CriticProps extends TrainedProps {
  readonly loss: ValueLossOptions;
}

/** A critic: the trained actor with a value head. */
export class CriticActor
  extends TrainedActor<CriticProps, ValueModel>
  implements Actor<typeof criticProtocol>
{
  values(
    { sequences, version, progress }: ValuesRequest,
    { signal }: Context,
  ): Promise<ValuesReply> {
    return this.weights.at(version, signal, async () => {
      const report = (done: number): void => progress?.data.set([done]);
      const { experienceMicroBatch: microBatch } = this.props;
      const values = await responseScores(this.model, sequences, 1, microBatch, report);
      return { values: values.map((data) => ({ dtype: 'f32', shape: [data.length], data })) };
    });
  }

  update(
    { miniBatches, learningRate, progress }: ValueUpdateRequest,
    { signal }: Context,
  ): Promise<UpdateReport> {
    const { loss, updateMicroBatch: microBatch, epochs } = this.props;
    const update = updateByMiniBatches(
      this.model,
      this.optimization,
      miniBatches,
      { loss: valueLossOf(loss), microBatch, epochs, learningRate },
      (done) => progress?.data.set([done]),
    );
    return together(update, signal);
  }

  protected makeModel(): ValueModel {
    const { model, gradientCheckpointing } = this.props;
    return new ValueModel(this.device, model.config, this.weights.working.arena, {
      gradientCheckpointing,
      isVisionFixed: model.isVisionFixed ?? false,
    });
  }

  protected async saveModel(directory: string): Promise<void> {
    const { modelPath: from, overrides } = this.props;
    const { arena } = this.weights;
    await saveValueCheckpoint(join(directory, 'huggingface'), { from, arena, overrides });
  }

  protected async readModel(directory: string): Promise<void> {
    const saved = await loadValueCheckpoint(join(directory, 'huggingface'), { seed: 0 });
    const { arena } = this.weights;
    arena.data.set(saved.arena.data.subarray(0, contentLength(arena.layout)));
  }
}

/** Makes a critic on its thread. */
export const criticActor = actorFactory(criticProtocol, (props: CriticProps) =>
  new CriticActor(props).start(),
);
