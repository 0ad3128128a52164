import type { CxmindError } from '../../src/errors.ts';

/** What happened to an actor; `restarts` counts from its spawn. */
export interface ActorEvent {
  readonly kind: 'started' | 'crashed' | 'restarted' | 'stopped';
  readonly name: string;
  /** Name of the node it is or was on; undefined in the system's own process. */
  readonly node?: string;
  readonly restarts: number;
  /** Why, for a crash and for the stop that follows from one. */
  readonly error?: CxmindError;
}
