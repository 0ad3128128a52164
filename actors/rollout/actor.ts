import type { Device, TimedRun } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import { GenerationEngine } from '../../src/generation/engine.ts';
import type { EngineOptions } from '../../src/generation/request.ts';

import { deviceOptions, SharedWeights, type ModelProps } from '../model-props.ts';
import { DeviceProfile } from '../profile.ts';
import { actorFactory, type Actor, type Context } from '../runtime/actor.ts';
import { rolloutProtocol, type GenerateRequest, type Group } from './protocol.ts';

/** Props of a rollout actor. */
export interface RolloutProps {
  readonly model: ModelProps;
  readonly engine: EngineOptions;
  /** Tokens that end a response. */
  readonly stopTokens: readonly number[];
}

/** A rollout actor: samples responses with the learners' weights, which it reads where they are written. */
export class RolloutActor implements Actor<typeof rolloutProtocol> {
  readonly #device: Device;
  readonly #profile: DeviceProfile;
  readonly #weights: SharedWeights;
  readonly #engine: GenerationEngine;
  readonly #stopTokens: readonly number[];

  constructor({ model, engine, stopTokens }: RolloutProps) {
    this.#device = openDevice(deviceOptions(model));
    this.#profile = new DeviceProfile(this.#device);
    this.#weights = new SharedWeights(this.#device, model);
    const { arena, adapter } = this.#weights.working;
    const options = { ...engine, isVisionFixed: model.isVisionFixed ?? false };
    this.#engine = new GenerationEngine(this.#device, model.config, arena, options, adapter);
    this.#stopTokens = stopTokens;
  }

  async generate(
    { prompts, sampling, maxTokens, ignoreEos, policyVersion, progress }: GenerateRequest,
    { signal }: Context,
  ): Promise<{ groups: Group[] }> {
    const requests = prompts.map(({ input, keys }) => ({
      prompt: input,
      sampling,
      maxTokens,
      stopTokens: ignoreEos ? [] : this.#stopTokens,
      keys,
    }));
    const responses = await this.#weights.at(policyVersion, signal, () =>
      this.#engine.generate(requests, {
        signal,
        onProgress: (made) => progress?.data.set([made.tokens, made.responses]),
      }),
    );
    return {
      groups: prompts.map(({ promptId }, i) => ({ promptId, responses: responses[i]! })),
    };
  }

  startProfile(): void {
    this.#profile.start();
  }

  endProfile(): Promise<TimedRun[]> {
    return this.#profile.end();
  }

  [Symbol.dispose](): void {
    this.#engine[Symbol.dispose]();
    this.#device[Symbol.dispose]();
  }
}

/** Makes a rollout actor on its thread. */
export const rolloutActor = actorFactory(
  rolloutProtocol,
  (props: RolloutProps) => new RolloutActor(props),
);
