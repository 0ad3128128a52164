import { CxmindError } from '../../src/errors.ts';
import { viewOf } from '../../src/tensor/dtype.ts';
import type { SharedMemory } from '../../src/tensor/memory.ts';
import { SharedBarrier, type Look } from '../shared/barrier.ts';
import { CALL_WORDS, disagreement, encodeCall, type Call, type Element } from './call.ts';
import { doDirectly, inputParts } from './direct.ts';
import type { Engine } from './group.ts';
import { isAlive, thisThread } from './life.ts';
import type { Elements } from './elements.ts';
import { loanNumbers, type Loan, type Loans } from './loans.ts';
import { rankStates, rankWords, STAGES, type SharedRegion } from './shared-layout.ts';
import { planOf } from './shared-plan.ts';

/** What differs between memory of threads and memory of processes. */
export interface SharedOwner {
  /** How ranks read each other's tensors in place, where they can. */
  readonly loans?: Loans;
  close(): void;
}

/**
 * Collectives of ranks that see the same memory.
 *
 * Where all ranks can lend their tensors, each reads the others' where they are. Else all go through an operation
 * in phases, with a barrier after each, and in every phase each rank stages one chunk, reduces its part of the
 * chunk before, and collects the one before that.
 */
export class SharedEngine implements Engine {
  readonly rank: number;
  readonly size: number;
  readonly #region: SharedRegion;
  readonly #owner: SharedOwner;
  readonly #barrier: SharedBarrier;
  #calls = 0;
  /** Chunks so far, of all operations: says whose turn a stage is. */
  #chunks = 0;

  /** Joins as `rank`; nobody else may be that rank. */
  constructor(region: SharedRegion, rank: number, owner: SharedOwner) {
    const { layout, words } = region;
    this.rank = rank;
    this.size = layout.size;
    this.#region = region;
    this.#owner = owner;
    this.#barrier = new SharedBarrier(words, 0, layout.size);
    const [at, { pid, tid, start }] = [layout.rankAt(rank), thisThread()];
    words.store(at + rankWords.pid, pid);
    words.store(at + rankWords.tid, tid);
    words.store(at + rankWords.start, start);
    words.store(at + rankWords.state, rankStates.joined);
  }

  async run(call: Call, input: Elements | null, output: Elements | null): Promise<void> {
    const loan = this.#owner.loans?.offer(call, input, output);
    const isLending = loan !== undefined && loan.number !== loanNumbers.refused;
    const staged = this.#stages(call, input, output);
    this.#announce(call, loan);
    if (!isLending) staged.phase(0);
    await this.#meet();
    this.#compare();
    const sources = isLending ? await this.#borrowAll(call, loan, input) : undefined;
    if (sources !== undefined) {
      doDirectly(call, this.rank, sources, output);
      // The inputs are their owners' again once nobody reads them.
      await this.#meet();
      return;
    }
    const hasLender = this.#loans().some(({ number }) => number !== loanNumbers.refused);
    for (let phase = hasLender ? 0 : 1; phase < staged.phases; phase++) {
      staged.phase(phase);
      // Nothing that the next operation does first touches what the last phase still reads.
      if (phase < staged.phases - 1) await this.#meet();
    }
  }

  close(): Promise<void> {
    const { layout, words } = this.#region;
    words.store(layout.rankAt(this.rank) + rankWords.state, rankStates.left);
    this.#barrier.wake();
    this.#owner.close();
    return Promise.resolve();
  }

  /** The phases of an operation that goes over the stages. */
  #stages(
    call: Call,
    input: Elements | null,
    output: Elements | null,
  ): { readonly phases: number; phase(phase: number): void } {
    const { chunks, steps } = planOf(this.#region, this.rank, call, input, output);
    const first = this.#chunks;
    this.#chunks += chunks;
    return {
      phases: Math.max(1, chunks + steps.length - 1),
      phase: (phase) => {
        steps.forEach((step, depth) => {
          const k = phase - depth;
          if (k >= 0 && k < chunks) step(k, (first + k) % STAGES);
        });
      },
    };
  }

  /** Writes down what this rank calls, and what it lends for that. */
  #announce(call: Call, { number, isNew, byteOffset }: Loan = noLoan): void {
    const { layout, words } = this.#region;
    const at = layout.callAt(this.rank, this.#calls);
    encodeCall(call).forEach((word, i) => words.store(at + i, word));
    const loan = [number, Number(isNew), byteOffset | 0, Math.floor(byteOffset / 2 ** 32)];
    const loanAt = layout.loanAt(this.rank, this.#calls);
    loan.forEach((word, i) => words.store(loanAt + i, word));
    this.#calls++;
  }

  /** What all ranks lend for the call under way. */
  #loans(): Loan[] {
    const { layout, words } = this.#region;
    return Array.from({ length: this.size }, (_, rank) => {
      const at = layout.loanAt(rank, this.#calls - 1);
      return {
        number: words.load(at),
        isNew: words.load(at + 1) === 1,
        byteOffset: (words.load(at + 2) >>> 0) + words.load(at + 3) * 2 ** 32,
      };
    });
  }

  /** The inputs of all ranks where they lie, null for those that have none; nothing when one cannot lend its own. */
  async #borrowAll(
    call: Call,
    own: Loan,
    input: Elements | null,
  ): Promise<(Elements | null)[] | undefined> {
    const all = this.#loans();
    if (all.some(({ number }) => number === loanNumbers.refused)) return undefined;
    const loans = this.#owner.loans!;
    if (all.some(({ isNew }) => isNew)) {
      if (own.isNew) loans.introduce(input!.buffer as SharedMemory);
      await this.#meet();
    }
    const length = inputParts(call, this.size) * call.count;
    return all.map(({ number, byteOffset }, rank) => {
      if (number === loanNumbers.nothing) return null;
      if (rank === this.rank) return input;
      return viewOf<Element>(call.dtype, loans.borrow(rank, number), byteOffset, length);
    });
  }

  /** Throws when the ranks have not called the same. */
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
    return this.#barrier.arrive(this.#look);
  }

  /** Who is lost, if anybody is. */
  readonly #look: Look = (isLate) => {
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

const noLoan: Loan = { number: loanNumbers.refused, isNew: false, byteOffset: 0 };

function lostError(rank: number): CxmindError {
  return new CxmindError('PEER_LOST', `rank ${rank} of the group is gone`, { detail: { rank } });
}
