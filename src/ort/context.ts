import type { Native } from './native.ts';
import type { ValueMaker } from './value.ts';

/** What a runtime lends to its sessions and bindings; all of it outlives them. */
export interface Context {
  readonly native: Native;
  /** The default allocator, which owns names and arrays that calls give back. */
  readonly allocator: bigint;
  /** Describes the CPU's memory. */
  readonly memoryInfo: bigint;
  readonly values: ValueMaker;
}
