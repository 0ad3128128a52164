/** Watches what actors work on: who waited for whom, and for how long. */

/** A message that an actor is done with. Times are those of `performance.now()` in the system's process. */
export interface ActorWork {
  readonly actor: string;
  readonly method: string;
  /** Time at which the message was sent. Until `startedMs` it waited for those before it. */
  readonly sentMs: number;
  readonly startedMs: number;
  readonly endedMs: number;
  /** True where it failed, or its caller gave up. */
  readonly isFailed: boolean;
}

export type WorkListener = (work: ActorWork) => void;

/**
 * The one that watches the work of a system's actors, if there is one. No time is taken of messages while there is none.
 */
export class WorkWatch {
  #listener: WorkListener | null = null;

  get isOn(): boolean {
    return this.#listener !== null;
  }

  /** The time, where somebody watches; else 0. */
  now(): number {
    return this.#listener === null ? 0 : performance.now();
  }

  tell(work: ActorWork): void {
    this.#listener?.(work);
  }

  /** Has a listener hear of all work until disposed of, in place of the one before. */
  begin(listener: WorkListener): Disposable {
    this.#listener = listener;
    return {
      [Symbol.dispose]: () => {
        if (this.#listener === listener) this.#listener = null;
      },
    };
  }
}
