import { BARRIER_WORDS } from '../shared/barrier.ts';
import type { SharedWords } from '../shared/words.ts';
import { CALL_WORDS } from './call.ts';

/** What a rank can stage at a time, bytes: a few of these fit into the cache of a processor. */
const STAGE_BYTES = 2 * 2 ** 20;

/** Chunks of an operation that are under way at a time: one comes, one is reduced, one goes. */
export const STAGES = 3;

/** Words on one cache line, twice over, since processors fetch lines in pairs. */
const LINE_WORDS = 32;

/** Words that say what a rank lends: number of the buffer, whether it is new, low and high word of the offset in bytes. */
const LOAN_WORDS = 4;

/** Words of a rank, from `rankAt`. */
export const rankWords = {
  /** 0 before it joined, then `rankStates`. */
  state: 0,
  pid: 1,
  tid: 2,
  start: 3,
  /** Counts what happened that the rank may wait for; the word after it is 1 while the rank listens. */
  bell: 4,
  /** Its last two calls, `CALL_WORDS` each. */
  calls: 8,
  /** What it lends for them, `LOAN_WORDS` each. */
  loans: 20,
} as const;
export const rankStates = { joined: 1, left: 2 } as const;

/**
 * The memory of a group of `n` ranks.
 *
 * | at              | holds                                                              |
 * | --------------- | ------------------------------------------------------------------ |
 * | 0               | the barrier                                                        |
 * | `lostAt`        | 1 + the rank that was found dead, else 0                           |
 * | `joinedAt`      | how many ranks have joined                                         |
 * | `rankAt(r)`     | `rankWords` of each rank                                           |
 * | `stageAt(s, r)` | `STAGE_BYTES` of each stage and rank, `n` parts of `partBytes` each |
 */
export class SharedLayout {
  readonly size: number;
  /** Bytes of one part of a stage: a multiple of a cache line. */
  readonly partBytes: number;
  readonly stageBytes = STAGE_BYTES;
  readonly byteLength: number;
  readonly lostAt = BARRIER_WORDS;
  readonly joinedAt = BARRIER_WORDS + LINE_WORDS / 2;
  readonly #stagesAt: number;

  constructor(size: number) {
    this.size = size;
    this.partBytes = Math.floor(STAGE_BYTES / size / 64) * 64;
    this.#stagesAt = 4 * (BARRIER_WORDS + (1 + size) * LINE_WORDS);
    this.byteLength = this.#stagesAt + STAGES * size * STAGE_BYTES;
  }

  /** First word of a rank. */
  rankAt(rank: number): number {
    return BARRIER_WORDS + (1 + rank) * LINE_WORDS;
  }

  /** First word of a rank's call number `count`. */
  callAt(rank: number, count: number): number {
    return this.rankAt(rank) + rankWords.calls + (count % 2) * CALL_WORDS;
  }

  /** First word of what a rank lends for its call number `count`. */
  loanAt(rank: number, count: number): number {
    return this.rankAt(rank) + rankWords.loans + (count % 2) * LOAN_WORDS;
  }

  /** First byte of what a rank stages. */
  stageAt(stage: number, rank: number): number {
    return this.#stagesAt + (stage * this.size + rank) * STAGE_BYTES;
  }
}

/** The memory of a group as one of its ranks sees it, all zeros at first. */
export interface SharedRegion {
  readonly buffer: ArrayBufferLike;
  readonly words: SharedWords;
  readonly layout: SharedLayout;
}
