import { CxmindError } from '../../src/errors.ts';
import { SharedWords } from '../shared/words.ts';
import type { HostMemory } from './native/host-memory.ts';
import { rankWords, type SharedLayout } from './shared-layout.ts';

/** A wait on a word, in this process. */
interface Waiter {
  readonly index: number;
  readonly value: number;
  readonly deadline: number;
  readonly resolve: () => void;
}

/**
 * Words that processes of a host share.
 *
 * A rank that waits on any number of words sleeps on one, its bell. A notification of any word rings the bells of all
 * other ranks, and each of them looks which of its words have changed.
 */
export class HostWords extends SharedWords {
  readonly #memory: HostMemory;
  readonly #layout: SharedLayout;
  readonly #rank: number;
  readonly #waiters = new Set<Waiter>();
  #isListening = false;
  #isClosed = false;

  constructor(memory: HostMemory, layout: SharedLayout, rank: number) {
    super(new Int32Array(memory.buffer));
    this.#memory = memory;
    this.#layout = layout;
    this.#rank = rank;
  }

  override wait(index: number, value: number, timeoutMs: number): Promise<void> {
    if (this.#isClosed) return Promise.reject(new CxmindError('PEER_LOST', 'the group was left'));
    return new Promise((resolve) => {
      const deadline = performance.now() + timeoutMs;
      this.#waiters.add({ index, value, deadline, resolve });
      void this.#listen();
    });
  }

  override notify(index: number): void {
    for (let rank = 0; rank < this.#layout.size; rank++) {
      if (rank === this.#rank) continue;
      const bell = this.#layout.rankAt(rank) + rankWords.bell;
      this.add(bell, 1);
      if (this.load(bell + 1) === 1) this.#memory.wake(4 * bell);
    }
    for (const waiter of this.#waiters) if (waiter.index === index) this.#release(waiter);
  }

  /** Unmaps the memory as soon as nothing sleeps on it any more. */
  close(): void {
    this.#isClosed = true;
    for (const waiter of this.#waiters) this.#release(waiter);
    if (this.#isListening) {
      const bell = this.#layout.rankAt(this.#rank) + rankWords.bell;
      this.add(bell, 1);
      this.#memory.wake(4 * bell);
    } else {
      this.#memory.unmap();
    }
  }

  async #listen(): Promise<void> {
    if (this.#isListening) return;
    this.#isListening = true;
    const bell = this.#layout.rankAt(this.#rank) + rankWords.bell;
    this.store(bell + 1, 1);
    while (!this.#isClosed) {
      const rung = this.load(bell);
      this.#releaseChanged();
      // Waits that were just released may begin anew before this thread goes to sleep.
      await Promise.resolve();
      if (this.#waiters.size === 0) break;
      const deadline = Math.min(...[...this.#waiters].map((waiter) => waiter.deadline));
      await this.#memory.wait(4 * bell, rung, Math.max(1, deadline - performance.now()));
    }
    this.store(bell + 1, 0);
    this.#isListening = false;
    if (this.#isClosed) this.#memory.unmap();
  }

  #releaseChanged(): void {
    const now = performance.now();
    for (const waiter of this.#waiters) {
      if (waiter.deadline <= now || this.load(waiter.index) !== waiter.value) this.#release(waiter);
    }
  }

  #release(waiter: Waiter): void {
    this.#waiters.delete(waiter);
    waiter.resolve();
  }
}
