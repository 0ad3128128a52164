import { Policy } from '../../src/model/policy.ts';
import type { Device, TimedRun } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import type { MicroBatchOptions } from '../../src/training/micro-batches.ts';
import { logProbsReply, type LogProbsReply, type LogProbsRequest } from '../joint/log-probs.ts';
import { deviceOptions, SharedWeights, type ModelProps } from '../model-props.ts';
import { DeviceProfile } from '../profile.ts';
import { actorFactory, type Actor, type Context } from '../runtime/actor.ts';
import { referenceProtocol } from './protocol.ts';

/** Props of the reference. */
export interface ReferenceProps {
  readonly model: ModelProps;
  readonly microBatch: MicroBatchOptions;
}

/** The reference: the model that training started from, whose weights never change. */
export class ReferenceActor implements Actor<typeof referenceProtocol> {
  readonly #device: Device;
  readonly #profile: DeviceProfile;
  readonly #policy: Policy;
  readonly #weights: SharedWeights;
  readonly #microBatch: MicroBatchOptions;

  constructor({ model, microBatch }: ReferenceProps) {
    this.#device = openDevice(deviceOptions(model));
    this.#profile = new DeviceProfile(this.#device);
    this.#weights = new SharedWeights(this.#device, model);
    this.#policy = new Policy(this.#device, model.config, this.#weights.working.arena, {
      gradientCheckpointing: false,
      isVisionFixed: model.isVisionFixed ?? false,
    });
    this.#microBatch = microBatch;
  }

  logProbs(request: LogProbsRequest, { signal }: Context): Promise<LogProbsReply> {
    return this.#weights.at(request.policyVersion, signal, () =>
      logProbsReply(this.#policy, request, this.#microBatch),
    );
  }

  startProfile(): void {
    this.#profile.start();
  }

  endProfile(): Promise<TimedRun[]> {
    return this.#profile.end();
  }

  [Symbol.dispose](): void {
    this.#policy[Symbol.dispose]();
    this.#device[Symbol.dispose]();
  }
}

/** Makes a reference actor on its thread. */
export const referenceActor = actorFactory(
  referenceProtocol,
  (props: ReferenceProps) => new ReferenceActor(props),
);
