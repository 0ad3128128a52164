import type { RunObserver } from '../../ort/context.ts';
import type { Cudart } from './cudart.ts';

/** How long a node of a graph, or all of it, took on the card. */
export interface NodeTime {
  readonly name: string;
  /** From the moment at which timing began. */
  readonly startMs: number;
  readonly durationMs: number;
}

/**
 * Times nodes by moments on the stream, which cost the card next to nothing. Those that are captured have no times:
 * nothing of them is done yet.
 */
export class NodeTimes implements RunObserver, Disposable {
  readonly #cudart: Cudart;
  readonly #events: bigint[] = [];
  readonly #names: string[] = [];

  constructor(cudart: Cudart) {
    this.#cudart = cudart;
    this.#mark();
  }

  start(name: string): void {
    if (this.#cudart.isCapturing) return;
    this.#names.push(name);
    this.#mark();
  }

  end(): void {
    if (!this.#cudart.isCapturing) this.#mark();
  }

  /** The times of all nodes so far; waits for them. */
  read(): NodeTime[] {
    this.#cudart.synchronize();
    const [first] = this.#events;
    return this.#names.map((name, i) => {
      const [start, end] = [this.#events[1 + 2 * i]!, this.#events[2 + 2 * i]!];
      return {
        name,
        startMs: this.#cudart.milliseconds(first!, start),
        durationMs: this.#cudart.milliseconds(start, end),
      };
    });
  }

  [Symbol.dispose](): void {
    for (const event of this.#events) this.#cudart.destroyEvent(event);
  }

  #mark(): void {
    this.#events.push(this.#cudart.event());
  }
}
