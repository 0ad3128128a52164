/** Work of actors on messages, and how long those waited: told to a listener, if there is one. */

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

/** Called with each message that an actor is done with. */
export type WorkListener = (work: ActorWork) => void;

/** Watch over the work of a system's actors. Messages are timed only while a listener is set. */
export class WorkWatch {
  #listener: WorkListener | null = null;

  /** True while there is a listener. */
  get isOn(): boolean {
    return this.#listener !== null;
  }

  /** The time by `performance.now()` while there is a listener; else 0. */
  now(): number {
    return this.#listener === null ? 0 : performance.now();
  }

  tell(work: ActorWork): void {
    this.#listener?.(work);
  }

  /** Sets the listener, in place of the one before, until disposed of. */
  begin(listener: WorkListener): Disposable {
    this.#listener = listener;
    return {
      [Symbol.dispose]: () => {
        if (this.#listener === listener) this.#listener = null;
      },
    };
  }
}
