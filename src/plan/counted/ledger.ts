import { noWork, sumOf, type Work } from './work.ts';

/** Sum of the work that a device is asked for. */
export class Ledger {
  #sum: Work = noWork;

  /** Adds work to the sum. */
  add(work: Work): void {
    this.#sum = sumOf([this.#sum, work]);
  }

  /** The work that a function asks for, which stays out of the sum. */
  async of(ask: () => unknown): Promise<Work> {
    const before = this.#sum;
    this.#sum = noWork;
    try {
      await ask();
      return this.#sum;
    } finally {
      this.#sum = before;
    }
  }

  /** The work that a synchronous function asks for, which stays out of the sum. */
  ofNow(ask: () => void): Work {
    const before = this.#sum;
    this.#sum = noWork;
    try {
      ask();
      return this.#sum;
    } finally {
      this.#sum = before;
    }
  }
}
