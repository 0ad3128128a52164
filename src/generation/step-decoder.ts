import type { PrefilledPrompt } from './prefill.ts';
import type { Draw, DrawRequest, Sampling } from './sampler.ts';

/** One sequence's share of a decoding step. */
export interface StepRow {
  readonly token: number;
  /** Rotary position of the token. */
  readonly position: number;
  /** Tokens in the cache before this one. */
  readonly cached: number;
  readonly sampling: Sampling;
  /** In [0, 1); decides the draw of the next token, but for a greedy one. */
  readonly uniform: number;
}

/** A sequence that is to begin. */
export interface Entering {
  readonly prompt: PrefilledPrompt;
  /** Tokens that may follow the prompt. */
  readonly maxTokens: number;
}

/** Decodes sequences together, a token of each at a time. They occupy the first slots of its cache without gaps. */
export interface StepDecoder extends Disposable {
  /** Most tokens of a sequence. */
  readonly capacity: number;
  /** Most sequences. */
  readonly slots: number;
  /** Forgets every sequence. */
  clear(): void;
  /** How many of those that wait, from the first on, may begin beside those that run; one at least if none runs. */
  roomFor(waiting: readonly Entering[], running: number): number;
  /** Begins a sequence in a slot. */
  enter(slot: number, sequence: Entering): void;
  /** Ends the sequence of a slot; that of the last slot takes its place. */
  leave(slot: number, last: number): void;
  /** Feeds one token of each sequence, slot by slot, and draws the next ones. */
  step(sequences: readonly StepRow[]): Promise<Draw[]>;
}

/** The draws of a step whose distributions stand in the order of its sequences. */
export function drawsOf(sequences: readonly StepRow[]): DrawRequest[] {
  return sequences.map(({ sampling, uniform }, row) => ({ row, sampling, uniform }));
}
