import type { Output } from './output.ts';

/** A phase of known length that is the whole of a command's work, shown until disposed of. */
export class CountedPhase extends DisposableStack {
  #done = 0;

  constructor(output: Output, name: string, total: number) {
    super();
    const reporter = this.use(output.reporter());
    this.use(reporter.phase({ name, total, done: () => this.#done }));
  }

  /** Takes the number that is done so far. */
  readonly onProgress = (done: number): void => {
    this.#done = done;
  };
}
