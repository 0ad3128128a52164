/** The interface of decoders, which draw the next token of many sequences in one step. */
import type { Device, View } from '../device/device.ts';
import type { ModelConfig } from '../model/model-config.ts';
import type { ModelWeights } from '../model/model-weights.ts';
import type { DecoderWeights } from './decoder-weights.ts';
import type { PrefilledPrompt } from './prefill.ts';
import type { ControlledSampler } from './controlled-sampler.ts';
import type { Draw, DrawRequest } from './sampler.ts';

/** One sequence's share of a decoding step, and how its next token is drawn. */
export interface StepRow extends Omit<DrawRequest, 'row'> {
  readonly token: number;
  /** Rotary position of the token. */
  readonly position: number;
  /** Tokens in the cache before this one. */
  readonly cached: number;
}

/** A prefilled sequence that is about to enter the decoder. */
export interface Entering {
  readonly prompt: PrefilledPrompt;
  /** Most tokens that follow the prompt. */
  readonly maxTokens: number;
}

/** The model of a decoder, and the size of its cache. */
export interface DecoderOptions {
  readonly device: Device;
  readonly config: ModelConfig;
  readonly weights: ModelWeights;
  /** The weights as views, which the decoder holds until it is disposed. */
  readonly taken: DecoderWeights;
  /** Most sequences decoded together. */
  readonly slots: number;
  /** Most tokens of a sequence. */
  readonly capacity: number;
}

/** Options of a decoder that computes distributions and leaves the draws to a sampler. */
export interface SampledDecoderOptions extends DecoderOptions {
  readonly sampler: ControlledSampler;
  /** f32 `[V]`, added to the logits. */
  readonly logitBias: View;
}

/**
 * Decodes sequences together, one token of each at a time, over a cache of their keys and values. Sequences occupy the
 * first slots of the cache without gaps.
 */
export interface StepDecoder extends Disposable {
  /** Most tokens of a sequence. */
  readonly capacity: number;
  /** Most sequences. */
  readonly slots: number;
  /** Forgets every sequence. */
  clear(): void;
  /** Counts the waiting sequences, from the first on, that fit beside those that run; at least one if none runs. */
  roomFor(waiting: readonly Entering[], running: number): number;
  /** Begins a sequence in a slot. */
  enter(slot: number, sequence: Entering): void;
  /** Ends the sequence of a slot; that of the last slot takes its place. */
  leave(slot: number, last: number): void;
  /** Feeds one token of each sequence, slot by slot, and draws the next ones. */
  step(sequences: readonly StepRow[]): Promise<Draw[]>;
}

/** Requests for the draws of a step, whose distributions are in the order of its sequences. */
export function drawsOf(sequences: readonly StepRow[]): DrawRequest[] {
  return sequences.map(({ sampling, uniform, edit = null }, row) => {
    return { row, sampling, uniform, edit };
  });
}
