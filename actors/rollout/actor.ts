import { chatTools, type ChatSettings } from '../../src/data/sample-options.ts';
import { GenerationEngine } from '../../src/generation/engine.ts';
import type { EngineOptions, GenerateControl } from '../../src/generation/request.ts';
import { Environments, type EnvironmentSettings } from '../environment/environments.ts';
import { ModelActor } from '../model-actor.ts';
import type { ModelProps } from '../model-props.ts';
import { actorFactory, type Actor, type Context, type Logger } from '../runtime/actor.ts';
import { playEpisodes, type EpisodeTools, type TurnLimits } from './episodes.ts';
import { rolloutProtocol, type GenerateRequest, type Group } from './protocol.ts';

/** Props of a rollout actor. */
export interface RolloutProps {
  readonly model: ModelProps;
  readonly engine: EngineOptions;
  /** Tokens that end a response. */
  readonly stopTokens: readonly number[];
  /** Environments that answer between turns; responses have one turn where it is null or left out. */
  readonly episodes?: EpisodeProps | null;
}

/** Props of episodes. */
export interface EpisodeProps {
  readonly environment: EnvironmentSettings;
  readonly limits: TurnLimits;
  /** Settings by which the environment's messages become tokens. */
  readonly chat: Omit<ChatSettings, 'model'>;
}

/** A rollout actor: samples responses with the learners' weights, which it reads where they are written. */
export class RolloutActor extends ModelActor implements Actor<typeof rolloutProtocol> {
  readonly #engine: GenerationEngine;
  readonly #stopTokens: readonly number[];
  readonly #episodes: EpisodeTools | null;

  /** @param logger hears what environments print */
  constructor({ model, engine, stopTokens, episodes = null }: RolloutProps, logger: Logger) {
    super(model);
    const { arena, adapter } = this.weights.working;
    const options = { ...engine, isVisionFixed: model.isVisionFixed ?? false };
    this.#engine = new GenerationEngine(this.device, model.config, arena, options, adapter);
    this.#stopTokens = stopTokens;
    this.#episodes = episodes && {
      engine: this.#engine,
      config: model.config,
      environments: new Environments(episodes.environment, logger),
      observation: chatTools({ ...episodes.chat, model: model.config }),
      limits: episodes.limits,
      stopTokens,
    };
  }

  async generate(request: GenerateRequest, { signal }: Context): Promise<{ groups: Group[] }> {
    const { progress, policyVersion } = request;
    const control = {
      signal,
      onProgress: (made: { readonly tokens: number; readonly responses: number }) =>
        progress?.data.set([made.tokens, made.responses]),
    };
    const groups = await this.weights.at(policyVersion, signal, () =>
      this.#episodes === null
        ? this.#respond(request, control)
        : playEpisodes(this.#episodes, request, control),
    );
    return { groups };
  }

  /** Responses of one turn. */
  async #respond(
    { prompts, sampling, maxTokens, ignoreEos }: GenerateRequest,
    control: GenerateControl,
  ): Promise<Group[]> {
    const requests = prompts.map(({ input, keys }) => ({
      prompt: input,
      sampling,
      maxTokens,
      stopTokens: ignoreEos ? [] : this.#stopTokens,
      keys,
    }));
    const responses = await this.#engine.generate(requests, control);
    return prompts.map(({ promptId }, i) => ({
      promptId,
      responses: responses[i]!.map((response) => ({ ...response, episode: null })),
    }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#episodes?.environments[Symbol.asyncDispose]();
    this[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#engine[Symbol.dispose]();
    this.device[Symbol.dispose]();
  }
}

/** Makes a rollout actor on its thread. */
export const rolloutActor = actorFactory(
  rolloutProtocol,
  (props: RolloutProps, { logger }) => new RolloutActor(props, logger),
);
