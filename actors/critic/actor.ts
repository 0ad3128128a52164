import { join } from 'node:path';
import type { ValueLossOptions } from '../../src/algorithms/value-loss.ts';
import {
  loadValueCheckpoint,
  saveValueCheckpoint,
} from '../../src/model/checkpoint/value-checkpoint.ts';
import { Network } from '../../src/model/network.ts';
import { valueLossOf } from '../../src/training/losses.ts';
import type { UpdateReport } from '../../src/training/updates.ts';
import type { EvaluateReply, EvaluateRequest } from '../joint/evaluate.ts';
import { TrainedActor, type TrainedProps } from '../joint/trained-actor.ts';
import { actorFactory, type Actor, type Context } from '../runtime/actor.ts';
import { criticProtocol, type ValueUpdateRequest } from './protocol.ts';

/** Props of a critic. */
export interface CriticProps extends TrainedProps {
  readonly loss: ValueLossOptions;
}

/** A critic: the trained actor with a value head. */
export class CriticActor
  extends TrainedActor<CriticProps, Network>
  implements Actor<typeof criticProtocol>
{
  values(request: EvaluateRequest, context: Context): Promise<EvaluateReply> {
    return this.evaluate(request, context);
  }

  update(request: ValueUpdateRequest, context: Context): Promise<UpdateReport> {
    return this.train(request, context, valueLossOf(this.props.loss));
  }

  protected makeModel(): Network {
    const { model, gradientCheckpointing } = this.props;
    return new Network(this.device, model.config, this.weights.working.arena, 'value', {
      gradientCheckpointing,
      isVisionFixed: model.isVisionFixed,
    });
  }

  protected async saveModel(directory: string): Promise<void> {
    const { modelPath: from, overrides } = this.props;
    const { arena } = this.weights;
    await saveValueCheckpoint(join(directory, 'huggingface'), { from, arena, overrides });
  }

  protected async readModel(directory: string): Promise<void> {
    const saved = await loadValueCheckpoint(join(directory, 'huggingface'), { seed: 0 });
    this.weights.arena.data.set(saved.arena.content.data);
  }
}

/** Makes a critic on its thread. */
export const criticActor = actorFactory(criticProtocol, (props: CriticProps) =>
  new CriticActor(props).start(),
);
