import type { FinishReason } from '../finish-reason.ts';
import type { PromptInput } from '../model/pack.ts';
import { Rng } from '../rng.ts';
import { tensorOf } from '../tensor/tensor.ts';
import { LogitHistory } from './logit-control.ts';
import type { Job, Response } from './request.ts';
import type { Draw, DrawRequest } from './sampler.ts';
import type { StepRow } from './step-decoder.ts';

/** A response in the making: its tokens so far, and the random stream that draws them. */
export class Sequence {
  readonly job: Job;
  /** Index of the response among those of its job. */
  readonly sampleIndex: number;
  readonly #rng: Rng;
  /** Controls of the request, and the tokens that they look at; null without any. */
  readonly #history: LogitHistory | null;
  readonly #tokens: number[] = [];
  readonly #logProbs: number[] = [];
  /** Version of the weights that each token was drawn by; empty where tokens are not marked. */
  readonly #versions: number[] = [];

  constructor(job: Job, sampleIndex: number) {
    const { prompt, seeds, controls } = job.request;
    this.job = job;
    this.sampleIndex = sampleIndex;
    this.#rng = new Rng(seeds[sampleIndex]!);
    this.#history =
      controls === undefined ? null : new LogitHistory(controls, prompt.tokenIds.data);
  }

  /** Number of tokens, those of the prompt among them. */
  get length(): number {
    return this.job.request.prompt.tokenIds.data.length + this.#tokens.length;
  }

  /** Most tokens that may follow. */
  get remainingTokens(): number {
    return this.job.request.maxTokens - this.#tokens.length;
  }

  /** The prompt, followed by the tokens so far. */
  context(): PromptInput {
    const { prompt } = this.job.request;
    return this.#tokens.length === 0 ? prompt : withTokens(prompt, this.#tokens);
  }

  /** Makes the request of the next draw. It takes a number of the random stream, unless the draw is greedy. */
  takeDraw(): Omit<DrawRequest, 'row'> {
    const { sampling } = this.job.request;
    const uniform = sampling.temperature === 0 ? 0 : this.#rng.nextUniform();
    return { sampling, uniform, edit: this.#history?.next() ?? null };
  }

  /**
   * Makes the request of the next decoding step and of the draw after it, as `takeDraw` does.
   *
   * The sequence has at least one token, and the cache has all of its tokens but the last.
   */
  takeStep(): StepRow {
    const cached = this.length - 1;
    const position = nextPosition(this.job.request.prompt) + this.#tokens.length - 1;
    return { token: this.#tokens.at(-1)!, position, cached, ...this.takeDraw() };
  }

  /**
   * Appends a draw.
   *
   * @param version version of the weights that it was drawn by; null where tokens are not marked
   * @returns why the response ends with it; null where it goes on
   */
  append(draw: Draw, version: number | null): FinishReason | null {
    const { job, sampleIndex } = this;
    this.#tokens.push(draw.token);
    this.#logProbs.push(draw.logProb);
    this.#history?.add(draw.token);
    if (version !== null) this.#versions.push(version);
    const isEndedByJob = job.onToken?.(sampleIndex, draw) === true;
    // Bad words forbade all that the grammar allowed, so an end token was drawn (`logit-control.ts`). Callers see that as a
    // filter that has cut the response off.
    if (this.#history?.isDeadEnd === true) return 'content_filter';
    if (isEndedByJob || job.request.stopTokens.includes(draw.token)) return 'stop';
    return this.remainingTokens > 0 ? null : 'length';
  }

  /** Makes the complete response. */
  response(finishReason: FinishReason): Response {
    const shape = [this.#tokens.length];
    return {
      tokenIds: tensorOf('i32', shape, this.#tokens),
      logProbs: tensorOf('f32', shape, this.#logProbs),
      ...(this.#versions.length > 0 && { policyVersions: tensorOf('i32', shape, this.#versions) }),
      finishReason,
    };
  }
}

/** Rotary position of the first token after a prompt. It is the same on all axes, and is read from the first. */
function nextPosition({ tokenIds, positions }: PromptInput): number {
  return positions.data[tokenIds.data.length - 1]! + 1;
}

/** A prompt followed by tokens of a response, at the positions after its own. */
function withTokens(prompt: PromptInput, tokens: readonly number[]): PromptInput {
  const { tokenIds, positions } = prompt;
  const length = tokenIds.data.length;
  const axes = positions.shape[0]!;
  const next = nextPosition(prompt);
  const rows = Array.from({ length: axes }, (_, axis) => [
    ...positions.data.subarray(axis * length, (axis + 1) * length),
    ...tokens.map((_, i) => next + i),
  ]);
  const whole = length + tokens.length;
  return {
    ...prompt,
    tokenIds: tensorOf('i32', [whole], [...tokenIds.data, ...tokens]),
    positions: tensorOf('i32', [axes, whole], rows.flat()),
  };
}
