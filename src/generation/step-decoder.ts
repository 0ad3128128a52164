import type { View } from '../device/device.ts';
import type { PrefilledPrompt } from './prefill.ts';

/** One sequence's share of a decoding step. */
export interface StepRow {
  readonly token: number;
  /** Rotary position of the token. */
  readonly position: number;
  /** Tokens in the cache before this one. */
  readonly cached: number;
  readonly temperature: number;
}

/** Decodes sequences together, a token of each at a time. They occupy the first slots of its cache without gaps. */
export interface StepDecoder extends Disposable {
  /** Most tokens of a sequence. */
  readonly capacity: number;
  /** Forgets every sequence. */
  clear(): void;
  /** Puts a prompt into a slot. */
  write(slot: number, prompt: PrefilledPrompt): void;
  /** Copies slot `from` to slot `to`. */
  move(from: number, to: number): void;
  /**
   * Feeds one token of each sequence, slot by slot.
   *
   * @returns `[B, V]`, the distributions of the next tokens, until the next step
   */
  step(sequences: readonly StepRow[]): View;
}
