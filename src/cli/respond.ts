/** The work of `generate`: responses to rows, sampled in this thread without actors. */
import type { ValidationSampling } from '../config/rollout-schema.ts';
import type { DatasetRow } from '../data/row.ts';
import { promptInputOf } from '../data/sample.ts';
import type { FinishReason } from '../finish-reason.ts';
import { GenerationEngine } from '../generation/engine.ts';
import { likeliest } from '../generation/n-best.ts';
import { ControlCompiler, isNeutral } from '../generation/response-controls.ts';
import { keyOf } from '../rng.ts';
import { Tokenizer } from '../text/tokenizer.ts';
import { pictureTokens } from '../model/model-config.ts';
import type { OpenedModel } from './open-model.ts';

/** Sampling of the responses, and how the command hears of them. */
export interface RespondOptions extends ValidationSampling {
  /** Tokens of the longest response. */
  readonly maxTokens: number;
  readonly signal: AbortSignal;
  /** Told the number of responses so far, a batch of prompts at a time. */
  readonly onProgress: (responses: number) => void;
}

/** A response as the command writes it. */
export interface RowResponse {
  /** Place of the row, from 0. */
  readonly index: number;
  /** Number among the row's responses, from 0. */
  readonly sample: number;
  /** Text without special tokens. */
  readonly response: string;
  /** `[T]`, the end-of-turn token included where the response has one. */
  readonly tokenIds: readonly number[];
  /** `[T]` */
  readonly logProbs: readonly number[];
  readonly finishReason: FinishReason;
}

const MAX_PREFILL_TOKENS = 8192;
/** Prompts held in memory together, their pictures included. */
const PROMPTS_AT_ONCE = 64;

/**
 * Responses to rows, in their order.
 *
 * A response depends on the model, its row, the options and its place alone.
 *
 * @throws DATA_INVALID naming file, line and field, or structured outputs that cannot be followed; RUNTIME_CANCELLED when
 *   the signal aborts
 */
export async function respond(
  { checkpoint, device, arena, builder }: OpenedModel,
  rows: readonly DatasetRow[],
  options: RespondOptions,
): Promise<RowResponse[]> {
  const { config, directory } = checkpoint;
  const tokenizer = Tokenizer.load(directory);
  using engine = new GenerationEngine(device, config, arena, {
    maxPrefillTokens: MAX_PREFILL_TOKENS,
    bannedTokens: pictureTokens(config),
  });
  const controls = isNeutral(options) ? null : new ControlCompiler(tokenizer).of(options);
  const sampled = options.bestOf ?? options.n;
  const results: RowResponse[] = [];
  for (let first = 0; first < rows.length; first += PROMPTS_AT_ONCE) {
    const samples = await Promise.all(
      rows.slice(first, first + PROMPTS_AT_ONCE).map((row) => builder.build(row)),
    );
    const groups = await engine.generate(
      samples.map((sample, i) => ({
        prompt: promptInputOf(sample),
        sampling: options,
        ...(controls && { controls }),
        maxTokens: options.maxTokens,
        stopTokens: options.ignoreEos ? [] : tokenizer.eosIds,
        seeds: Array.from({ length: sampled }, (_, nth) =>
          keyOf('generate', options.seed, first + i, nth),
        ),
      })),
      { signal: options.signal },
    );
    for (const [i, group] of groups.entries()) {
      const best = likeliest(group, options.n, ({ logProbs }) => logProbs.data);
      for (const [sample, { tokenIds, logProbs, finishReason }] of best.entries()) {
        results.push({
          index: first + i,
          sample,
          response: tokenizer.decode(tokenIds.data, { skipSpecialTokens: true }),
          tokenIds: [...tokenIds.data],
          logProbs: [...logProbs.data],
          finishReason,
        });
      }
    }
    options.onProgress(results.length);
  }
  return results;
}
