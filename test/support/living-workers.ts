import type { Worker } from 'node:worker_threads';

/** The worker threads of this process that were started since and still run. */
export class LivingWorkers implements Disposable {
  readonly #workers = new Set<Worker>();
  readonly #onWorker = (worker: Worker): void => {
    this.#workers.add(worker);
    worker.once('exit', () => this.#workers.delete(worker));
  };

  constructor() {
    process.on('worker', this.#onWorker);
  }

  get names(): string[] {
    return [...this.#workers].map(({ threadName }) => threadName ?? '').sort();
  }

  /** The youngest worker of a name. */
  find(name: string): Worker | undefined {
    return [...this.#workers].findLast(({ threadName }) => threadName === name);
  }

  [Symbol.dispose](): void {
    process.off('worker', this.#onWorker);
  }
}
