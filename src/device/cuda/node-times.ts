import type { RunObserver } from '../../ort/context.ts';
import type { Cudart } from './cudart.ts';

/** The time that a node of a graph, or a whole graph, took on the card. */
interface NodeTime {
  readonly name: string;
  /** Start, after the start of timing. */
  readonly startMs: number;
  readonly durationMs: number;
}

/**
 * A timer of nodes by events on the stream, which cost the card next to nothing.
 *
 * It skips nodes that are captured, since they do not run yet.
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

  /** Waits for all nodes so far; returns their times. */
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
