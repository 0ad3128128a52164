import { CxmindError } from '../../src/errors.ts';
import { viewOf } from '../../src/tensor/dtype.ts';
import { SharedBarrier, type Look } from '../shared/barrier.ts';
import { bytesOf } from '../shared/bytes.ts';
import { CALL_WORDS, disagreement, encodeCall, type Call, type Element } from './call.ts';
import { directSteps, inputParts } from './direct.ts';
import type { Engine, Message } from './group.ts';
import { Inbox, type MessageSource } from './inbox.ts';
import { isAlive, thisThread } from './life.ts';
import type { Elements } from './elements.ts';
import { loanNumbers, type Loan, type Loans } from './loans.ts';
import { rankStates, rankWords, STAGES, streamWords, type SharedRegion } from './shared-layout.ts';
import { planOf } from './shared-plan.ts';
import { SharedStream } from './shared-stream.ts';

/** What differs between memory of threads and memory of processes. */
export interface SharedOwner {
  /** How ranks read each other's tensors in place, where they can. */
  readonly loans?: Loans;
  /** The engine of a rank's new group, over memory of its own, as `Engine.split`; `engine` is the old one. */
  split(
    rank: number,
    groups: readonly (readonly number[])[],
    engine: SharedEngine,
  ): Promise<Engine | null>;
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
  readonly #outgoing: { stream: SharedStream; last: Promise<void> }[];
  readonly #inboxes: Inbox[];
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
    const ranks = Array.from({ length: layout.size }, (_, other) => other);
    this.#outgoing = ranks.map((to) => ({
      stream: new SharedStream(region, rank, to, this.#lookFor([to])),
      last: Promise.resolve(),
    }));
    this.#inboxes = ranks.map((from) => {
      const stream = new SharedStream(region, from, rank, this.#lookFor([from]));
      return new Inbox(messagesOf(stream));
    });
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
    await this.barrier();
    this.#compare();
    const sources = isLending ? await this.#borrowAll(call, loan, input) : undefined;
    if (sources !== undefined) {
      for (const step of directSteps(call, this.rank, sources, output)) {
        step();
        await this.barrier();
      }
      return;
    }
    const hasLender = this.#loans().some(({ number }) => number !== loanNumbers.refused);
    for (let phase = hasLender ? 0 : 1; phase < staged.phases; phase++) {
      staged.phase(phase);
      // Nothing that the next operation does first touches what the last phase still reads.
      if (phase < staged.phases - 1) await this.barrier();
    }
  }

  /** Resolves when every rank has called it. */
  barrier(): Promise<void> {
    return this.#barrier.arrive(this.#lookAtAll);
  }

  send({ tag, dtype, elements }: Message, to: number): Promise<void> {
    const outgoing = this.#outgoing[to]!;
    const turn = outgoing.last.then(async () => {
      const { byteLength } = elements;
      const head = Int32Array.of(tag, dtype, byteLength | 0, Math.floor(byteLength / 2 ** 32));
      await outgoing.stream.write(bytesOf(head));
      await outgoing.stream.write(bytesOf(elements));
    });
    outgoing.last = turn.catch(() => undefined);
    return turn;
  }

  receive(message: Message, from: number): Promise<void> {
    return this.#inboxes[from]!.receive(message);
  }

  split(groups: readonly (readonly number[])[]): Promise<Engine | null> {
    return this.#owner.split(this.rank, groups, this);
  }

  close(): Promise<void> {
    const { layout, words } = this.#region;
    words.store(layout.rankAt(this.rank) + rankWords.state, rankStates.left);
    this.#wakeAll();
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
      if (own.isNew) loans.introduce(input!.buffer as SharedArrayBuffer);
      await this.barrier();
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

  readonly #lookAtAll: Look = (isLate) => this.#look(undefined, isLate);

  #lookFor(ranks: readonly number[]): Look {
    return (isLate) => this.#look(ranks, isLate);
  }

  /** Who is lost, if it matters to one who waits for `ranks`, all by default. */
  #look(ranks: readonly number[] | undefined, isLate: boolean): CxmindError | undefined {
    const { layout, words } = this.#region;
    const lost = words.load(layout.lostAt);
    if (lost !== 0) return lostError(lost - 1);
    for (const rank of ranks ?? this.#outgoing.keys()) {
      const at = layout.rankAt(rank);
      const state = words.load(at + rankWords.state);
      if (state === rankStates.left) return lostError(rank);
      if (!isLate || state !== rankStates.joined || rank === this.rank) continue;
      const [pid, tid, start] = [rankWords.pid, rankWords.tid, rankWords.start].map((word) =>
        words.load(at + word),
      );
      if (isAlive({ pid: pid!, tid: tid!, start: start! })) continue;
      words.store(layout.lostAt, 1 + rank);
      this.#wakeAll();
      return lostError(rank);
    }
    return undefined;
  }

  #wakeAll(): void {
    const { layout, words } = this.#region;
    this.#barrier.wake();
    for (let from = 0; from < this.size; from++) {
      for (let to = 0; to < this.size; to++) {
        const at = layout.streamAt(from, to);
        words.notify(at + streamWords.written);
        words.notify(at + streamWords.read);
      }
    }
  }
}

const noLoan: Loan = { number: loanNumbers.refused, isNew: false, byteOffset: 0 };

function lostError(rank: number): CxmindError {
  return new CxmindError('PEER_LOST', `rank ${rank} of the group is gone`, { detail: { rank } });
}

/** The messages in a stream, each after a head of four words. */
function messagesOf(stream: SharedStream): MessageSource {
  return {
    async head() {
      const head = new Int32Array(4);
      await stream.read(bytesOf(head));
      const [tag, dtype, low, high] = head;
      return { tag: tag!, dtype: dtype!, byteLength: (low! >>> 0) + high! * 2 ** 32 };
    },
    body: (into) => stream.read(into),
  };
}
