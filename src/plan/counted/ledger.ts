import { noWork, sumOf, timesWork, type Work } from './work.ts';

/** A book of the work that a device was asked for, by the phase in which it was. */
export class Ledger {
  readonly #phases = new Map<string, Work>();
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

  /** Enters work under a phase. */
  enter(phase: string, work: Work, times = 1): void {
    this.#phases.set(phase, sumOf([this.work(phase), timesWork(work, times)]));
  }

  /** The work of a phase. */
  work(phase: string): Work {
    return this.#phases.get(phase) ?? noWork;
  }
}
