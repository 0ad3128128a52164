/** Layout of the memory that the ranks of one host share. */
import { BARRIER_WORDS } from '../shared/barrier.ts';
import type { SharedWords } from '../shared/words.ts';
import { CALL_WORDS } from './call.ts';

/** Bytes that a rank can stage at a time. A few of these fit into the cache of a processor. */
const STAGE_BYTES = 2 * 2 ** 20;

/** Number of chunks that are under way at a time: one is staged, one reduced, one collected. */
export const STAGES = 3;

/** Words on two cache lines, since processors fetch them in pairs. */
const LINE_WORDS = 32;

/** Words of a lease: number of the buffer, 1 if it is new, lower and upper word of the offset in bytes. */
const LEASE_WORDS = 4;

/** Places of a rank's words, counted from `rankAt`. */
export const rankWords = {
  /** 0 before the rank joined, then one of `rankStates`. */
  state: 0,
  pid: 1,
  tid: 2,
  start: 3,
  /** Number of notifications so far. The word after it is 1 while the rank listens. */
  bell: 4,
  /** Last two calls of the rank, `CALL_WORDS` each. */
  calls: 8,
  /** Leases for them, `LEASE_WORDS` each. */
  leases: 20,
} as const;
/** States of a rank in its word `state`; 0 before it joined. */
export const rankStates = { joined: 1, left: 2 } as const;

/**
 * Layout of the memory of `n` ranks.
 *
 * | at              | holds                                                              |
 * | --------------- | ------------------------------------------------------------------ |
 * | 0               | the barrier                                                        |
 * | `lostAt`        | 1 + the rank that was found dead, else 0                           |
 * | `joinedAt`      | number of ranks that have joined                                   |
 * | `rankAt(r)`     | `rankWords` of each rank                                           |
 * | `stageAt(s, r)` | `STAGE_BYTES` of each stage and rank, `n` parts of `partBytes` each |
 */
export class SharedLayout {
  readonly size: number;
  /** Bytes of one part of a stage, a multiple of a cache line. */
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

  /** First word of a rank's lease for its call number `count`. */
  leaseAt(rank: number, count: number): number {
    return this.rankAt(rank) + rankWords.leases + (count % 2) * LEASE_WORDS;
  }

  /** First byte of a rank's place in a stage. */
  stageAt(stage: number, rank: number): number {
    return this.#stagesAt + (stage * this.size + rank) * STAGE_BYTES;
  }
}

/** Memory of a group as one of its ranks sees it. It is all zeros at first. */
export interface SharedRegion {
  readonly buffer: ArrayBufferLike;
  readonly words: SharedWords;
  readonly layout: SharedLayout;
}
