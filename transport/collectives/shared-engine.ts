import { CxmindError } from '../../src/errors.ts';
import { SharedBarrier, type Look } from '../shared/barrier.ts';
import { bytesOf } from '../shared/bytes.ts';
import { CALL_WORDS, disagreement, encodeCall, type Call } from './call.ts';
import type { Engine, Message } from './group.ts';
import { Inbox, type MessageSource } from './inbox.ts';
import { isAlive, thisThread } from './life.ts';
import type { Elements } from './elements.ts';
import { rankStates, rankWords, STAGES, streamWords, type SharedRegion } from './shared-layout.ts';
import { planOf } from './shared-plan.ts';
import { SharedStream } from './shared-stream.ts';

/** What differs between memory of threads and memory of processes. */
export interface SharedOwner {
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
 * All ranks go through an operation in phases, with a barrier after each, and in every phase each rank stages
 * one chunk, reduces its part of the chunk before, and collects the one before that.
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
    const { chunks, steps } = planOf(this.#region, this.rank, call, input, output);
    const first = this.#chunks;
    this.#chunks += chunks;
    this.#announce(call);
    const phases = Math.max(1, chunks + steps.length - 1);
    for (let phase = 0; phase < phases; phase++) {
      steps.forEach((step, depth) => {
        const k = phase - depth;
        if (k >= 0 && k < chunks) step(k, (first + k) % STAGES);
      });
      // Nothing that the next operation does first touches what the last phase still reads.
      if (phase === 0 || phase < phases - 1) await this.barrier();
      if (phase === 0) this.#compare();
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

  /** Writes down what this rank calls. */
  #announce(call: Call): void {
    const { layout, words } = this.#region;
    const at = layout.callAt(this.rank, this.#calls++);
    encodeCall(call).forEach((word, i) => words.store(at + i, word));
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
