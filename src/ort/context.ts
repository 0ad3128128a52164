import type { Native } from './native.ts';
import type { ValueMaker } from './value.ts';

/** Is told of runs as they begin and end, one after the other. */
export interface RunObserver {
  /** @param name of the session */
  start(name: string): void;
  end(): void;
}

/** What a runtime lends to its sessions and bindings; all of it outlives them. */
export interface Context {
  readonly native: Native;
  /** The default allocator, which owns names and arrays that calls give back. */
  readonly allocator: bigint;
  /** Describes the CPU's memory. */
  readonly memoryInfo: bigint;
  readonly values: ValueMaker;
  /** Of the runs of all sessions; null where nobody wants to know. */
  observer: RunObserver | null;
}
