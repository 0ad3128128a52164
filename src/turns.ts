/**
 * Queue that runs asynchronous work one piece at a time, in the order in which it was asked for.
 *
 * One method of a mutex is all that its users need, so it is no dependency.
 */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs the work once everything before it has ended, well or badly, and gives its result. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }
}
