import { GenerationEngine, type EngineOptions } from '../../src/generation/engine.ts';
import { Runtime } from '../../src/ort/runtime.ts';
import { arenaOf, type ModelProps } from '../model-props.ts';
import { actorFactory, type Actor, type Context } from '../runtime/actor.ts';
import { rolloutProtocol, type GenerateRequest, type Group } from './protocol.ts';

/** What a rollout actor is made from. */
export interface RolloutProps {
  readonly model: ModelProps;
  readonly engine: EngineOptions;
  /** Tokens that end a response. */
  readonly stopTokens: readonly number[];
}

/** Generates responses with the learner's weights, which it reads where the learner writes them. */
export class RolloutActor implements Actor<typeof rolloutProtocol> {
  readonly #runtime: Runtime;
  readonly #engine: GenerationEngine;
  readonly #stopTokens: readonly number[];

  constructor({ model, engine, stopTokens }: RolloutProps) {
    this.#runtime = Runtime.open(model.threads === undefined ? {} : { threads: model.threads });
    this.#engine = new GenerationEngine(this.#runtime, model.config, arenaOf(model), engine);
    this.#stopTokens = stopTokens;
  }

  async generate(
    { prompts, sampling, maxTokens, ignoreEos, progress }: GenerateRequest,
    { signal }: Context,
  ): Promise<{ groups: Group[] }> {
    const requests = prompts.map(({ input, keys }) => ({
      prompt: input,
      sampling,
      maxTokens,
      stopTokens: ignoreEos ? [] : this.#stopTokens,
      keys,
    }));
    const responses = await this.#engine.generate(requests, {
      signal,
      onProgress: (made) => progress?.data.set([made.tokens, made.responses]),
    });
    return {
      groups: prompts.map(({ promptId }, i) => ({ promptId, responses: responses[i]! })),
    };
  }

  [Symbol.dispose](): void {
    this.#engine[Symbol.dispose]();
    this.#runtime[Symbol.dispose]();
  }
}

/** Makes a rollout actor on its thread. */
export const rolloutActor = actorFactory(
  rolloutProtocol,
  (props: RolloutProps) => new RolloutActor(props),
);
