import type { Grid } from '../../src/tensor/patch-levels.ts';
import { architectureOf } from '../../src/model/families.ts';
import type { PromptInput, SequenceInput } from '../../src/model/pack.ts';
import { tensorOf } from '../../src/tensor/tensor.ts';
import { goldenJson, goldenTensors, type GoldenTensor } from './golden.ts';
import { loadGoldenModel, textPrompt, tokens, type GoldenModel } from './golden-model.ts';

/** Families whose tiny models transformers computed with, by their folders. */
export const goldenFamilies = [
  'qwen3',
  'qwen3-moe',
  'llama3',
  'qwen2-vl',
  'qwen3-vl',
  'qwen3-vl-moe',
] as const;

/** The images or videos of a prompt. */
interface FamilyMedia {
  readonly kind: 'image' | 'video';
  readonly grids: readonly Grid[];
  /** `[N, C·Pt·P·P]`, in 64ths. */
  readonly levels: readonly (readonly number[])[];
}

interface FamilyCase {
  readonly media?: FamilyMedia;
  /** `[3][T]` over prompt and response, where there are media. */
  readonly positions?: readonly (readonly number[])[];
  readonly prompt_ids: readonly number[];
  readonly response_ids: readonly number[];
  readonly weights: readonly number[];
  readonly logprobs: readonly number[];
  readonly greedy: { readonly ids: readonly number[]; readonly logprobs: readonly number[] };
}

/** The prompt of a case, with the reference's own positions. */
function promptOf({ prompt_ids, media, positions = [] }: FamilyCase): PromptInput {
  if (media === undefined) return textPrompt(prompt_ids);
  const count = prompt_ids.length;
  const { grids, levels } = media;
  const values = levels.flat().map((level) => level / 64);
  return {
    tokenIds: tokens(prompt_ids),
    positions: tensorOf(
      'i32',
      [3, count],
      positions.flatMap((row) => row.slice(0, count)),
    ),
    pixelValues: tensorOf('f32', [levels.length, levels[0]!.length], values),
    grids,
  };
}

/** A tiny model of a family, and what transformers computes with it. */
export interface GoldenFamily {
  readonly folder: string;
  readonly cases: readonly FamilyCase[];
  readonly sequences: readonly SequenceInput[];
  /** Log-probabilities of all responses, one after the other. */
  readonly logProbs: readonly number[];
  /** Weights of the log-probabilities in the loss whose gradients `gradients` are. */
  readonly weights: Float32Array;
  readonly load: () => Promise<GoldenModel>;
  /** Gradients by the names that parameters have here. */
  readonly gradients: (model: GoldenModel) => Map<string, GoldenTensor>;
}

/** Reads what transformers computed with a family's tiny model. */
export function goldenFamily(family: string): GoldenFamily {
  const folder = `families/${family}`;
  const cases = goldenJson(`${folder}/reference.json`) as FamilyCase[];
  return {
    folder,
    cases,
    sequences: cases.map((one) => ({
      prompt: promptOf(one),
      response: tokens(one.response_ids),
    })),
    logProbs: cases.flatMap(({ logprobs }) => logprobs),
    weights: Float32Array.from(cases.flatMap((one) => one.weights)),
    load: () => loadGoldenModel(folder),
    gradients: ({ config }) => {
      const { ofStored } = architectureOf(config).weights;
      const stored = goldenTensors(`${folder}/grads.safetensors.gz`);
      return new Map([...stored].map(([name, tensor]) => [ofStored(name, config), tensor]));
    },
  };
}
