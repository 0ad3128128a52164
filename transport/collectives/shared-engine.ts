import { viewOf } from '../../src/tensor/dtype.ts';
import type { SharedMemory } from '../../src/tensor/memory.ts';
import { u53Of, upperWord } from '../bytes.ts';
import { SharedBarrier } from '../shared/barrier.ts';
import type { FindFailure } from '../shared/wait.ts';
import { CALL_WORDS, disagreement, encodeCall, lostError } from './call.ts';
import type { Call, Element } from './call.ts';
import { doDirectly, inputRows } from './direct.ts';
import type { Engine } from './communicator.ts';
import { rowOf, type Elements } from './elements.ts';
import { leaseNumbers, refused, type BufferLease, type BufferLeases } from './leases.ts';
import { rankStates, rankWords, type SharedRegion } from './shared-layout.ts';
import { Plan } from './shared-plan.ts';
import { isAlive, thisThread } from './thread-id.ts';

/** Owner of the memory, by which threads and processes differ. */
export interface SharedOwner {
  /** Leases by which ranks read each other's tensors in place, if they can. */
  readonly leases?: BufferLeases;
  close(): void;
}

/**
 * Collectives of ranks that share memory.
 *
 * If all ranks can lend their inputs, each reads those of the others in place. Otherwise an operation is a pipeline of
 * phases with a barrier after each. In every phase each rank stages one chunk, and does its share of the chunk before.
 */
export class SharedEngine implements Engine {
  readonly rank: number;
  readonly size: number;
  readonly #region: SharedRegion;
  readonly #owner: SharedOwner;
  readonly #barrier: SharedBarrier;
  #calls = 0;
  /** Number of chunks so far, of all operations. It decides on the stage of the next one. */
  #chunks = 0;

  /** Joins as `rank`; nobody else may be that rank. */
  constructor(region: SharedRegion, rank: number, owner: SharedOwner) {
    const { layout, words } = region;
    this.rank = rank;
    this.size = layout.size;
    this.#region = region;
    this.#owner = owner;
    this.#barrier = new SharedBarrier(words, layout.size);
    const [at, { pid, tid, start }] = [layout.rankAt(rank), thisThread()];
    words.store(at + rankWords.pid, pid);
    words.store(at + rankWords.tid, tid);
    words.store(at + rankWords.start, start);
    words.store(at + rankWords.state, rankStates.joined);
  }

  async run(call: Call, input: Elements | null, output: Elements | null): Promise<void> {
    const lease = this.#owner.leases?.offer(call, input, output) ?? refused;
    const isLending = lease.number !== leaseNumbers.refused;
    const plan = new Plan(this.#region, this.rank, call, [input, output], this.#chunks);
    this.#chunks += plan.chunks;
    this.#announce(call, lease);
    if (!isLending) plan.doPhase(0);
    await this.#meet();
    this.#compare();
    const sources = isLending ? await this.#borrowAll(call, lease, input) : undefined;
    if (sources !== undefined) {
      if (output !== null) {
        doDirectly(
          call,
          this.rank,
          this.size,
          (rank, row) => rowOf(sources[rank]!, row, call.count),
          (row) => rowOf(output, row, call.count),
        );
      }
      // The inputs are their owners' again once nobody reads them.
      await this.#meet();
      return;
    }
    // A rank that lent its input has not staged its first chunk, and the others wait for it.
    const hasLender = this.#leases().some(({ number }) => number !== leaseNumbers.refused);
    for (let phase = hasLender ? 0 : 1; phase <= plan.chunks; phase++) {
      plan.doPhase(phase);
      // Nothing that the next operation does first touches what the last phase still reads.
      if (phase < plan.chunks) await this.#meet();
    }
  }

  close(): Promise<void> {
    const { layout, words } = this.#region;
    words.store(layout.rankAt(this.rank) + rankWords.state, rankStates.left);
    this.#barrier.wake();
    this.#owner.close();
    return Promise.resolve();
  }

  /** Writes down this rank's call and its lease. */
  #announce(call: Call, { number, isNew, byteOffset }: BufferLease): void {
    const { layout, words } = this.#region;
    const at = layout.callAt(this.rank, this.#calls);
    encodeCall(call).forEach((word, i) => words.store(at + i, word));
    const lease = [number, Number(isNew), byteOffset | 0, upperWord(byteOffset)];
    const leaseAt = layout.leaseAt(this.rank, this.#calls);
    lease.forEach((word, i) => words.store(leaseAt + i, word));
    this.#calls++;
  }

  /** The leases of all ranks for the call under way. */
  #leases(): BufferLease[] {
    const { layout, words } = this.#region;
    return Array.from({ length: this.size }, (_, rank) => {
      const at = layout.leaseAt(rank, this.#calls - 1);
      return {
        number: words.load(at),
        isNew: words.load(at + 1) === 1,
        byteOffset: u53Of(words.load(at + 2), words.load(at + 3)),
      };
    });
  }

  /** The inputs of all ranks in place, null for a rank that has none; undefined when one cannot lend its own. */
  async #borrowAll(
    call: Call,
    own: BufferLease,
    input: Elements | null,
  ): Promise<(Elements | null)[] | undefined> {
    const all = this.#leases();
    if (all.some(({ number }) => number === leaseNumbers.refused)) return undefined;
    const leases = this.#owner.leases!;
    if (all.some(({ isNew }) => isNew)) {
      if (own.isNew) leases.introduce(input!.buffer as SharedMemory);
      await this.#meet();
    }
    const length = inputRows(call, this.size) * call.count;
    return all.map(({ number, byteOffset }, rank) => {
      if (number === leaseNumbers.nothing) return null;
      if (rank === this.rank) return input;
      return viewOf<Element>(call.dtype, leases.borrow(rank, number), byteOffset, length);
    });
  }

  /** Compares the calls of all ranks. @throws when they do not fit together */
  #compare(): void {
    const { layout, words } = this.#region;
    const calls = Int32Array.from({ length: this.size * CALL_WORDS }, (_, i) => {
      const at = layout.callAt(Math.floor(i / CALL_WORDS), this.#calls - 1);
      return words.load(at + (i % CALL_WORDS));
    });
    const error = disagreement(calls);
    if (error !== undefined) throw error;
  }

  /** Resolves when every rank has come here. */
  #meet(): Promise<void> {
    return this.#barrier.arrive(this.#findFailure);
  }

  /** Looks for a rank that left, was found dead by another, or is dead; the latter takes time. */
  readonly #findFailure: FindFailure = (isLate) => {
    const { layout, words } = this.#region;
    const lost = words.load(layout.lostAt);
    if (lost !== 0) return lostError(lost - 1);
    for (let rank = 0; rank < this.size; rank++) {
      const at = layout.rankAt(rank);
      const state = words.load(at + rankWords.state);
      if (state === rankStates.left) return lostError(rank);
      if (!isLate || state !== rankStates.joined || rank === this.rank) continue;
      const [pid, tid, start] = [rankWords.pid, rankWords.tid, rankWords.start].map((word) =>
        words.load(at + word),
      );
      if (isAlive({ pid: pid!, tid: tid!, start: start! })) continue;
      words.store(layout.lostAt, 1 + rank);
      this.#barrier.wake();
      return lostError(rank);
    }
    return undefined;
  };
}
