import type { Native } from './native.ts';

/** An observer of runs, which begin and end one after the other. */
export interface RunObserver {
  /** @param name the session's */
  start(name: string): void;
  end(): void;
}

/** Native objects that a runtime shares with its sessions and bindings. They outlive both. */
export interface Context {
  readonly native: Native;
  /** The default allocator, which owns names and arrays that calls return. */
  readonly allocator: bigint;
  /** Description of the CPU's memory. */
  readonly hostMemory: bigint;
  /** Observer of the runs of all sessions, if there is one. */
  observer: RunObserver | null;
}
