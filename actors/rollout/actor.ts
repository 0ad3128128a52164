import { GenerationEngine } from '../../src/generation/engine.ts';
import type { EngineOptions } from '../../src/generation/request.ts';
import { ModelActor } from '../model-actor.ts';
import type { ModelProps } from '../model-props.ts';
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
export class RolloutActor extends ModelActor implements Actor<typeof rolloutProtocol> {
  readonly #engine: GenerationEngine;
  readonly #stopTokens: readonly number[];

  constructor({ model, engine, stopTokens }: RolloutProps) {
    super(model);
    const { arena, adapter } = this.weights.working;
    const options = { ...engine, isVisionFixed: model.isVisionFixed ?? false };
    this.#engine = new GenerationEngine(this.device, model.config, arena, options, adapter);
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
    const responses = await this.weights.at(policyVersion, signal, () =>
      this.#engine.generate(requests, {
        signal,
        onProgress: (made) => progress?.data.set([made.tokens, made.responses]),
      }),
    );
    return {
      groups: prompts.map(({ promptId }, i) => ({
        promptId,
        responses: responses[i]!.map((response) => ({ ...response, episode: null })),
      })),
    };
  }

  [Symbol.dispose](): void {
    this.#engine[Symbol.dispose]();
    this.device[Symbol.dispose]();
  }
}

/** Makes a rollout actor on its thread. */
export const rolloutActor = actorFactory(
  rolloutProtocol,
  (props: RolloutProps) => new RolloutActor(props),
);
