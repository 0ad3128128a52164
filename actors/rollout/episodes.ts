/**
 * Episodes: responses of several turns, between which an environment answers.
 *
 * The loop is that of verl's tool agent, for all episodes of a request at once: every round generates one turn of each,
 * and asks the environment of each, side by side. The order of verl's limits is kept: a turn is followed by none when
 * the response is full, when the policy or the environment has had its turns, or when what the environment shows does not
 * fit. Rounds make the same batches whenever a run is repeated, so the same seed gives the same episode to the bit; the
 * price is that a round waits for its slowest environment, at most for the limit of a step.
 *
 * Tokens are those that the policy sampled, and between them those of `observe`. Nothing is tokenised again.
 */
import {
  observe,
  type Observation,
  type ObservationTools,
} from '../../src/environment/observation.ts';
import { asCxmindError } from '../../src/errors.ts';
import type { GenerationEngine } from '../../src/generation/engine.ts';
import type { LogitControls } from '../../src/generation/logit-control.ts';
import type { GenerateControl, GenerationRequest, Response } from '../../src/generation/request.ts';
import { asPrompt, responseMedia, type ShownPictures } from '../../src/model/continuation.ts';
import type { ModelConfig } from '../../src/model/model-config.ts';
import type { ResponseMedia } from '../../src/model/pack.ts';
import { keyOf } from '../../src/rng.ts';
import { stackPixels } from '../../src/tensor/patch-levels.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import type { Conversation, Environments } from '../environment/environments.ts';
import type { GenerateRequest, Group } from './protocol.ts';

/** Limits of an episode; null sets none. */
export interface TurnLimits {
  readonly maxAssistantTurns: number | null;
  readonly maxUserTurns: number | null;
}

/** The parts that episodes are played with. */
export interface EpisodeTools {
  readonly engine: GenerationEngine;
  readonly config: ModelConfig;
  readonly environments: Environments;
  readonly observation: Omit<ObservationTools, 'bitDepth'>;
  readonly limits: TurnLimits;
  readonly stopTokens: readonly number[];
}

type PromptRequest = GenerateRequest['prompts'][number];

/** A response that is being played. */
interface Play {
  readonly prompt: PromptRequest;
  readonly key: readonly [number, number];
  readonly conversation: Conversation;
  readonly tokens: number[];
  readonly logProbs: number[];
  /** 1 for the policy's tokens. */
  readonly mask: number[];
  readonly shown: ShownPictures[];
  turns: number;
  finishReason: Response['finishReason'];
  problem: string | null;
}

/** A request for episodes. */
export interface EpisodesRequest extends Pick<
  GenerateRequest,
  'prompts' | 'sampling' | 'maxTokens'
> {
  /** Controls of every turn. All tokens before a turn count as its prompt. */
  readonly controls?: LogitControls | undefined;
}

/**
 * Plays an episode for every key of a request, in order.
 *
 * @throws RUNTIME_CANCELLED when the signal aborts; an environment that fails is the `problem` of its episode
 */
export async function playEpisodes(
  tools: EpisodeTools,
  { prompts, sampling, controls, maxTokens }: EpisodesRequest,
  { signal, onProgress }: GenerateControl & { readonly signal: AbortSignal },
): Promise<Group[]> {
  const { engine, config, environments, stopTokens } = tools;
  const groups = prompts.map((prompt) =>
    prompt.seeds.map((seed) => begin(environments, prompt, seed)),
  );
  const all = groups.flat();
  const tokensMade = (): number =>
    all.reduce((sum, { mask }) => sum + mask.filter(Boolean).length, 0);
  try {
    // The first turns to a prompt are one request, so that it is prefilled once, as without an environment.
    const common = { sampling, stopTokens, ...(controls && { controls }) };
    let playing = all;
    let turns = await engine.generate(
      prompts.map(({ input, seeds }) => ({ prompt: input, seeds, maxTokens, ...common })),
      { signal },
    );
    for (;;) {
      for (const [i, turn] of turns.flat().entries()) takeTurn(playing[i]!, turn);
      const goesOn = await Promise.all(
        playing.map((play) => showNext(tools, play, maxTokens, signal)),
      );
      playing = playing.filter((_, i) => goesOn[i]);
      onProgress?.({ tokens: tokensMade(), responses: all.length - playing.length });
      if (playing.length === 0) break;
      const requests = playing.map((play): GenerationRequest => ({
        prompt: soFar(config, play),
        seeds: [keyOf('turn', play.turns, ...play.key)],
        maxTokens: maxTokens - play.tokens.length,
        ...common,
      }));
      turns = await engine.generate(requests, { signal });
    }
  } finally {
    for (const { conversation } of all) environments.end(conversation);
  }
  return groups.map((plays, i) => ({
    promptId: prompts[i]!.promptId,
    responses: plays.map((play) => responseOf(tools, play)),
  }));
}

function begin(environments: Environments, prompt: PromptRequest, key: Play['key']): Play {
  const conversation = environments.begin({ ...prompt.task, seed: key[0] });
  const empty = { tokens: [], logProbs: [], mask: [], shown: [] };
  return { prompt, key, conversation, ...empty, turns: 0, finishReason: 'stop', problem: null };
}

function takeTurn(play: Play, { tokenIds, logProbs, finishReason }: Response): void {
  play.tokens.push(...tokenIds.data);
  play.logProbs.push(...logProbs.data);
  for (const _ of tokenIds.data) play.mask.push(1);
  play.turns++;
  play.finishReason = finishReason;
}

/** Appends what the environment answers to the newest turn; false where no turn follows. */
async function showNext(
  { environments, observation, limits, stopTokens }: EpisodeTools,
  play: Play,
  maxTokens: number,
  signal: AbortSignal,
): Promise<boolean> {
  const { maxAssistantTurns, maxUserTurns } = limits;
  const isFull = play.tokens.length >= maxTokens;
  const answered = play.turns - 1;
  if (isFull || play.finishReason === 'length') return false;
  if (maxAssistantTurns !== null && play.turns >= maxAssistantTurns) return false;
  if (maxUserTurns !== null && answered >= maxUserTurns) return false;
  let shown: Observation;
  try {
    const text = observation.tokenizer.decode(newestTurn(play, stopTokens));
    const { messages, done } = await environments.answer(play.conversation, text, signal);
    if (done) return false;
    const { bitDepth } = play.prompt;
    shown = await observe({ ...observation, bitDepth }, messages, play.tokens.at(-1)!);
  } catch (thrown) {
    signal.throwIfAborted();
    play.problem = asCxmindError(thrown).message;
    return false;
  }
  if (play.tokens.length + shown.tokenIds.length >= maxTokens) {
    play.finishReason = 'length';
    return false;
  }
  for (const token of shown.tokenIds) {
    play.tokens.push(token);
    play.logProbs.push(0);
    play.mask.push(0);
  }
  if (shown.pictures !== null) play.shown.push(shown.pictures);
  return true;
}

/** The newest turn's tokens without the one that ended it. */
function newestTurn({ tokens, mask }: Play, stopTokens: readonly number[]): number[] {
  const turn = tokens.slice(mask.lastIndexOf(0) + 1);
  return stopTokens.includes(turn.at(-1)!) ? turn.slice(0, -1) : turn;
}

/** The sequence so far as the prompt of the next turn. */
function soFar(config: ModelConfig, play: Play): GenerationRequest['prompt'] {
  const response = tensorOf('i32', [play.tokens.length], play.tokens);
  return asPrompt({ prompt: play.prompt.input, response, media: mediaOf(config, play) });
}

function mediaOf(config: ModelConfig, { tokens, shown }: Play): ResponseMedia | null {
  const pixelValues = stackPixels(shown.map((pictures) => pictures.pixelValues));
  if (pixelValues === null) return null;
  const grids = shown.flatMap((pictures) => pictures.grids);
  return responseMedia(config, tensorOf('i32', [tokens.length], tokens), { pixelValues, grids });
}

function responseOf({ config, observation }: EpisodeTools, play: Play): Group['responses'][number] {
  const { tokens, logProbs, mask, turns, finishReason, problem } = play;
  const shape = [tokens.length];
  const media = mediaOf(config, play);
  return {
    tokenIds: tensorOf('i32', shape, tokens),
    logProbs: tensorOf('f32', shape, logProbs),
    finishReason,
    episode: {
      mask: tensorOf('u8', shape, mask),
      media: media && { ...media, grids: media.grids.map(([t, h, w]) => [t, h, w]) },
      turns,
      texts: turnsIn(tokens, mask).map((turn) =>
        observation.tokenizer.decode(turn, { skipSpecialTokens: true }),
      ),
      problem,
    },
  };
}

/** The tokens of each turn: runs of tokens that one side has. */
function turnsIn(tokens: readonly number[], mask: readonly number[]): number[][] {
  const begins = mask.flatMap((one, i) => (one === mask[i - 1] ? [] : [i]));
  return begins.map((begin, i) => tokens.slice(begin, begins[i + 1]));
}
