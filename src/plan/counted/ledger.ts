import { noWork, sumOf, type Work } from './work.ts';

/** A book of the work that a device is asked for. */
export class Ledger {
  #open: Work = noWork;

  /** Adds work to what is open. */
  add(work: Work): void {
    this.#open = sumOf([this.#open, work]);
  }

  /** The work that a function asks for; none of it is entered. */
  async of(ask: () => unknown): Promise<Work> {
    const before = this.#open;
    this.#open = noWork;
    try {
      await ask();
      return this.#open;
    } finally {
      this.#open = before;
    }
  }

  /** The work that a function asks for at once; none of it is entered. */
  ofNow(ask: () => void): Work {
    const before = this.#open;
    this.#open = noWork;
    try {
      ask();
      return this.#open;
    } finally {
      this.#open = before;
    }
  }
}
