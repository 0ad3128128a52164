import { chatTools, type ChatSettings } from '../../src/data/sample-options.ts';
import { CxmindError } from '../../src/errors.ts';
import { GenerationEngine } from '../../src/generation/engine.ts';
import type { LogitControls } from '../../src/generation/logit-control.ts';
import type {
  EngineOptions,
  GenerateControl,
  GenerationRequest,
  PausableCall,
  Response,
} from '../../src/generation/request.ts';
import { ControlCompiler } from '../../src/generation/response-controls.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { Environments, type EnvironmentSettings } from '../environment/environments.ts';
import { ModelActor } from '../model-actor.ts';
import type { ModelProps } from '../model-props.ts';
import { actorFactory, type Actor, type Context, type Logger } from '../runtime/actor.ts';
import { playEpisodes, type EpisodeTools, type TurnLimits } from './episodes.ts';
import {
  rolloutProtocol,
  type BeginRequest,
  type GenerateRequest,
  type GoOnRequest,
  type Group,
} from './protocol.ts';

/** Props of a rollout actor. */
export interface RolloutProps {
  readonly model: ModelProps;
  readonly engine: EngineOptions;
  /** Tokens that end a response. */
  readonly stopTokens: readonly number[];
  /** Directory of the tokenizer, which turns bad words and grammars of responses into tokens. */
  readonly tokenizerPath: string;
  /** Environments that answer between turns; responses have one turn where it is null or left out. */
  readonly episodes?: EpisodeProps | null;
}

/** Props of episodes. */
export interface EpisodeProps {
  readonly environment: EnvironmentSettings;
  readonly limits: TurnLimits;
  /** Settings that turn the environment's messages into tokens. */
  readonly chat: Omit<ChatSettings, 'model'>;
}

/** A rollout actor: samples responses with the learners' weights, which it reads where they are written. */
export class RolloutActor extends ModelActor implements Actor<typeof rolloutProtocol> {
  readonly #engine: GenerationEngine;
  readonly #stopTokens: readonly number[];
  readonly #episodes: EpisodeTools | null;
  readonly #tokenizerPath: string;
  #compiler: ControlCompiler | undefined;
  /** Requests that have begun, by id, until they are forgotten: their replies may be lost. */
  readonly #begun = new Map<
    string,
    { readonly request: GenerateRequest; readonly call: PausableCall }
  >();

  /** @param logger receives what environments print */
  constructor(
    { model, engine, stopTokens, tokenizerPath, episodes = null }: RolloutProps,
    logger: Logger,
  ) {
    super(model);
    const { arena, adapter } = this.weights.working;
    const options = { ...engine, isVisionFixed: model.isVisionFixed };
    this.#engine = new GenerationEngine(this.device, model.config, arena, options, adapter);
    this.#stopTokens = stopTokens;
    this.#tokenizerPath = tokenizerPath;
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
    const control = { signal, onProgress: counting(progress) };
    const groups = await this.weights.at(policyVersion, signal, async () =>
      this.#episodes === null
        ? groupsOf(request, await this.#engine.generate(this.#requestsOf(request), control))
        : playEpisodes(
            this.#episodes,
            { ...request, controls: this.#controlsOf(request) },
            control,
          ),
    );
    return { groups };
  }

  begin(request: BeginRequest, context: Context): Promise<{ groups: Group[] }> {
    const { id, cache, policyVersion, progress } = request;
    const control = { onProgress: counting(progress) };
    const call = this.#engine.begin(this.#requestsOf(request), cache, control);
    this.#begun.set(id, { request, call });
    return this.goOn({ id, policyVersion }, context);
  }

  hasBegun(id: string): boolean {
    return this.#begun.has(id);
  }

  async goOn(
    { id, policyVersion }: GoOnRequest,
    { signal }: Context,
  ): Promise<{ groups: Group[] }> {
    const begun = this.#begun.get(id);
    if (begun === undefined) {
      throw new CxmindError('INTERNAL', `rollout: no request ${id} has begun`);
    }
    const { request, call } = begun;
    const responses = await this.weights.at(policyVersion, signal, () =>
      call.run(policyVersion, signal),
    );
    return { groups: groupsOf(request, responses) };
  }

  forget(id: string): void {
    this.#begun.delete(id);
  }

  #requestsOf(request: GenerateRequest): GenerationRequest[] {
    const { prompts, sampling, maxTokens, ignoreEos } = request;
    const controls = this.#controlsOf(request);
    return prompts.map(({ input, seeds }) => ({
      prompt: input,
      sampling,
      ...(controls && { controls }),
      maxTokens,
      stopTokens: ignoreEos ? [] : this.#stopTokens,
      seeds,
    }));
  }

  /** Controls of logits; undefined where the request has none. */
  #controlsOf({ controls }: GenerateRequest): LogitControls | undefined {
    if (controls === null) return undefined;
    this.#compiler ??= new ControlCompiler(Tokenizer.load(this.#tokenizerPath));
    return this.#compiler.of(controls);
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

/** Responses of one turn, by prompt. */
function groupsOf(
  { prompts }: GenerateRequest,
  responses: readonly (readonly Response[])[],
): Group[] {
  return prompts.map(({ promptId }, i) => ({
    promptId,
    responses: responses[i]!.map((response) => ({ ...response, episode: null })),
  }));
}

/** A listener that keeps a request's counters up to date. */
function counting(
  progress: GenerateRequest['progress'],
): NonNullable<GenerateControl['onProgress']> {
  return (made) => progress.data.set([made.tokens, made.responses]);
}
