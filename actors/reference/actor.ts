import { pictureTokens } from '../../src/model/model-config.ts';
import { Policy } from '../../src/model/policy.ts';
import type { MicroBatchOptions } from '../../src/training/micro-batches.ts';
import { evaluate, type EvaluateReply, type EvaluateRequest } from '../joint/evaluate.ts';
import { ModelActor } from '../model-actor.ts';
import { FROZEN_VERSION, type ModelProps } from '../model-props.ts';
import { actorFactory, type Actor, type Context } from '../runtime/actor.ts';
import { referenceProtocol } from './protocol.ts';

/** Props of the reference. */
export interface ReferenceProps {
  readonly model: ModelProps;
  readonly microBatch: MicroBatchOptions;
}

/** The reference: the model that training started from, whose weights stay unless they are moved towards the policy's. */
class ReferenceActor extends ModelActor implements Actor<typeof referenceProtocol> {
  readonly #policy: Policy;
  readonly #microBatch: MicroBatchOptions;

  constructor({ model, microBatch }: ReferenceProps) {
    super(model);
    this.#policy = new Policy(this.device, model.config, this.weights.working.arena, {
      gradientCheckpointing: false,
      isVisionFixed: model.isVisionFixed,
      bannedTokens: pictureTokens(model.config),
    });
    this.#microBatch = microBatch;
  }

  takeWeights(_: unknown, { signal }: Context): Promise<void> {
    return this.weights.at(FROZEN_VERSION, signal, () => undefined);
  }

  logProbs(
    { temperature, ...request }: EvaluateRequest,
    { signal }: Context,
  ): Promise<EvaluateReply> {
    return evaluate(this.weights, request, this.#microBatch, signal, async (batch) => [
      await this.#policy.logProbs(batch, temperature),
    ]);
  }

  [Symbol.dispose](): void {
    this.#policy[Symbol.dispose]();
    this.device[Symbol.dispose]();
  }
}

/** Makes a reference actor on its thread. */
export const referenceActor = actorFactory(
  referenceProtocol,
  (props: ReferenceProps) => new ReferenceActor(props),
);
