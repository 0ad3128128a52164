/** Packing of prompts and responses into a network's input, without padding. */
import { areSamePixels, type Grid, type PixelValues } from '../tensor/patch-levels.ts';
import { zeros, type Tensor } from '../tensor/tensor.ts';
import type { PackedBatch, TokenTree } from './batch.ts';
import { treeSize } from './segments.ts';

/** A prompt as the input of a model. */
export interface PromptInput {
  readonly tokenIds: Tensor<'i32'>; // [T]
  readonly positions: Tensor<'i32'>; // [3, T]
  /** Patches `[N, C·Pt·P·P]`, or null without images. */
  readonly pixelValues: PixelValues | null;
  readonly grids: readonly Grid[];
}

/** Pictures inside a response: those that an environment showed between two turns of the policy. */
export interface ResponseMedia {
  /** Rotary positions of the response's tokens, i32 `[3, T]`, counted from the one after the prompt. */
  readonly positions: Tensor<'i32'>;
  /** Patches `[N, C·Pt·P·P]` in the order of their placeholders among the response's tokens. */
  readonly pixelValues: PixelValues;
  readonly grids: readonly Grid[];
}

/** A prompt and its response tokens, none for a prompt alone. */
export interface SequenceInput {
  readonly prompt: PromptInput;
  readonly response: Tensor<'i32'>; // [T]
  /** Pictures among the response tokens; without any, where it is null or left out, these are all text. */
  readonly media?: ResponseMedia | null;
}

/** Packs prompts without padding; equal prompts are not joined, and nothing is scored. */
export function packPrompts(prompts: readonly PromptInput[]): PackedBatch {
  return pack(
    prompts.map((prompt) => ({ prompt, members: [] })),
    [],
  );
}

/**
 * Packs sequences without padding; every response token is scored, in the order of the sequences.
 *
 * Sequences of one prompt (the same tensors of tokens and patches) share its rows up to the size of a tree: the prompt
 * and its images are computed once, and the responses branch off. Response tokens continue from the prompt's last
 * position, equal in all three rows but around a picture in the response.
 */
export function packSequences(sequences: readonly SequenceInput[]): PackedBatch {
  const trees: { prompt: PromptInput; members: number[]; size: number }[] = [];
  for (const [i, { prompt, response }] of sequences.entries()) {
    const [length, more] = [prompt.tokenIds.data.length, response.data.length];
    const tree = trees.find(
      ({ prompt: known, size }) =>
        known.tokenIds === prompt.tokenIds &&
        size + more <= largestTree(length) &&
        areSamePixels(known.pixelValues, prompt.pixelValues),
    );
    if (tree === undefined) {
      trees.push({ prompt, members: [i], size: length + more });
    } else {
      tree.members.push(i);
      tree.size += more;
    }
  }
  return pack(trees, sequences);
}

/**
 * Most tokens of a tree with more than one response.
 *
 * A tree's attention computes the scores of all pairs of its tokens, also of two responses, which are masked: (P + nR)²
 * scores for n responses of R tokens to a prompt of P. From some n on it costs less to compute the prompt again. That n
 * depends on the model. The bound is near it for the demo (measured: 16 responses of 87 tokens to a prompt of 51 take
 * 4.2 s in one tree, 2.7 s in trees of four, 5.7 s alone), and by the count of operations for a model of three billion
 * parameters and prompts with a picture.
 */
function largestTree(prompt: number): number {
  return 4 * prompt + 256;
}

/** A prompt and the numbers of the sequences that branch off it. */
interface PromptTree {
  readonly prompt: PromptInput;
  readonly members: readonly number[];
}

function pack(trees: readonly PromptTree[], sequences: readonly SequenceInput[]): PackedBatch {
  const sizes = trees.map(({ prompt, members }): TokenTree => {
    const responses = members.map((member) => sequences[member]!.response.data.length);
    return { prompt: prompt.tokenIds.data.length, responses };
  });
  const total = sizes.reduce((sum, size) => sum + treeSize(size), 0);
  const tokenIds = new Int32Array(total);
  const positions = zeros('i32', [3, total]);
  const predictors = new Array<Int32Array>(sequences.length);
  let at = 0;
  for (const { prompt, members } of trees) {
    const length = prompt.tokenIds.data.length;
    const lastRow = at + length - 1;
    tokenIds.set(prompt.tokenIds.data, at);
    for (let axis = 0; axis < 3; axis++) {
      const row = prompt.positions.data.subarray(axis * length, (axis + 1) * length);
      positions.data.set(row, axis * total + at);
    }
    at += length;
    for (const member of members) {
      const { response, media } = sequences[member]!;
      const { data } = response;
      const first = at;
      tokenIds.set(data, first);
      for (let axis = 0; axis < 3; axis++) {
        const next = positions.data[axis * total + lastRow]! + 1;
        const own = media?.positions.data.subarray(axis * data.length, (axis + 1) * data.length);
        for (let j = 0; j < data.length; j++)
          positions.data[axis * total + first + j] = next + (own?.[j] ?? j);
      }
      predictors[member] = data.map((_, j) => (j === 0 ? lastRow : first + j - 1));
      at += data.length;
    }
  }
  const media = trees.flatMap(({ prompt, members }) => [
    prompt,
    ...members.flatMap((member) => sequences[member]!.media ?? []),
  ]);
  return {
    tokenIds,
    positions,
    trees: sizes,
    scoredRows: joined(predictors),
    targets: joined(sequences.map(({ response }) => response.data)),
    pixelValues: media.flatMap(({ pixelValues }) => pixelValues ?? []),
    grids: media.flatMap(({ grids }) => grids),
  };
}

function joined(parts: readonly Int32Array[]): Int32Array {
  return Int32Array.from(parts.flatMap((part) => Array.from(part)));
}
