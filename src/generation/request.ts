import type { PromptInput } from '../model/pack.ts';
import type { Tensor } from '../tensor/tensor.ts';
import type { Sampling } from './sampler.ts';

/** One prompt and the responses wanted of it. */
export interface GenerationRequest {
  readonly prompt: PromptInput;
  readonly sampling: Sampling;
  readonly maxTokens: number;
  /** A response ends with, and includes, the first of these. */
  readonly stopTokens: readonly number[];
  /** The key of the random stream of each response; their number is the number of responses. */
  readonly keys: readonly (readonly [number, number])[];
}

/** One response: its tokens, and their log-probabilities under the tempered distribution they came from. */
export interface Response {
  /** i32 `[T]`. */
  readonly tokenIds: Tensor<'i32'>;
  /** f32 `[T]`. */
  readonly logProbs: Tensor<'f32'>;
  readonly finishReason: 'stop' | 'length';
}

/** What the engine may use. */
export interface EngineOptions {
  /** Sequences decoded together; left out, as many as suit the device. */
  readonly maxSequences?: number;
  /** Prompt tokens of one prefill pass; a longer prompt runs alone. */
  readonly maxPrefillTokens: number;
  /** The share of a card's free memory that the cache may take; 0.6 when left out. */
  readonly memoryShare?: number;
  /** Tokens that are never sampled: placeholders of images and videos. */
  readonly bannedTokens: readonly number[];
  /** That nobody ever changes the vision tower's weights; what it makes of images is then kept. */
  readonly isVisionFixed?: boolean;
}

/** How a call may be watched and stopped. */
export interface GenerateControl {
  readonly signal?: AbortSignal;
  /** Called from time to time with the tokens and responses made so far. */
  readonly onProgress?: (progress: { tokens: number; responses: number }) => void;
}
