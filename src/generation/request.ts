/** Requests to an engine and their responses, the jobs between them, and the engine's options. */
import type { FinishReason } from '../finish-reason.ts';
import type { PromptInput } from '../model/pack.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { LogitControls } from './logit-control.ts';
import type { Draw, Sampling } from './sampler.ts';

/** One prompt, and the responses that are wanted to it. */
export interface GenerationRequest {
  readonly prompt: PromptInput;
  readonly sampling: Sampling;
  /** Controls of what the responses may say; none where they are left out. */
  readonly controls?: LogitControls;
  /** Most tokens of a response. */
  readonly maxTokens: number;
  /** Tokens that end a response; it includes the first of them. */
  readonly stopTokens: readonly number[];
  /** Seeds of the random streams, one for each response. */
  readonly seeds: readonly (readonly [number, number])[];
}

/** One response: its tokens, and their log-probabilities under the tempered distribution. */
export interface Response {
  /** i32 `[T]`. */
  readonly tokenIds: Tensor<'i32'>;
  /** f32 `[T]`. */
  readonly logProbs: Tensor<'f32'>;
  /** Version of the weights by each token, i32 `[T]`; left out where the call has one version. */
  readonly policyVersions?: Tensor<'i32'>;
  readonly finishReason: FinishReason;
}

/** A request, and the callbacks that receive its tokens and responses. */
export interface Job {
  readonly request: GenerationRequest;
  /** Ends the job when it aborts: its responses are dropped, and no callback is called again. It is of this job alone. */
  readonly signal?: AbortSignal;
  /** Receives every token as it is drawn; the response ends with it if true is returned. */
  readonly onToken?: (sample: number, draw: Draw) => boolean;
  /** Receives a complete response. */
  readonly onResponse: (sample: number, response: Response) => void;
}

/** Limits of an engine. */
export interface EngineOptions {
  /** Most sequences decoded together; left out, as many as suit the device. */
  readonly maxSequences?: number;
  /** Most prompt tokens of one prefill pass; a longer prompt runs alone. */
  readonly maxPrefillTokens: number;
  /** Share of a GPU's free memory that the cache may take; 0.6 when left out. */
  readonly memoryShare?: number;
  /** Tokens that are never sampled: placeholders of images and videos. */
  readonly bannedTokens: readonly number[];
  /** True where the vision tower's weights never change, so that image embeddings can be kept between passes. */
  readonly isVisionFixed?: boolean;
}

/** Cancellation and progress of a call. */
export interface GenerateControl {
  readonly signal?: AbortSignal;
  /** Receives the number of tokens and responses made so far, from time to time. */
  readonly onProgress?: (progress: { tokens: number; responses: number }) => void;
}

/**
 * A call of an engine that may be paused between two tokens, and go on with other weights.
 *
 * Responses go on where they were, token for token, and each token has the version of the weights that drew it. Their
 * keys and values are computed again by the new weights, or kept as the old ones left them (PipelineRL,
 * arXiv:2509.19128). Kept ones are computed again too where they are gone: other work had the decoder meanwhile, or the
 * decoder holds copies of the weights.
 */
export interface PausableCall {
  /**
   * Runs with the engine's current weights, until it is done or paused.
   *
   * @param version version of these weights
   * @returns the responses, as `GenerationEngine.generate` does; a further call returns them again
   * @throws RUNTIME_CANCELLED when the signal aborts, which pauses the call
   */
  run(version: number, signal: AbortSignal): Promise<Response[][]>;
}

/**
 * Tokens of a request's longest sequence, which is what a cache must hold. Tables of rotary angles are as long, and the
 * positions of a video's frames may run ahead of its tokens.
 */
export function lengthOf({ prompt, maxTokens }: GenerationRequest): number {
  const tokens = prompt.tokenIds.data.length;
  return Math.max(tokens, prompt.positions.data[tokens - 1]! + 1) + maxTokens;
}
