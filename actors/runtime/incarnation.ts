import type { CxmindError } from '../../src/errors.ts';
import type { Channel } from '../../transport/channel.ts';
import type { Body } from '../../transport/frame.ts';

/** One life of an actor: from being made until it stopped or crashed. */
export interface Incarnation {
  readonly channel: Channel;
  /** The way for what must not wait behind messages: to stop, to cancel. May overtake the channel. */
  readonly urgent: Pick<Channel, 'send'>;
  /** Resolves with the reason once nothing of it runs and its last packet was delivered. */
  readonly ended: Promise<CxmindError>;
  /** Ends it from outside, whatever it is doing. */
  terminate(): void;
}

/** Which life of an actor begins. */
export interface IncarnationStart {
  /** How often it was restarted before. */
  readonly restarts: number;
  /** The state that an earlier one kept. */
  readonly kept: Body | undefined;
}

/** Begins the lives of one actor, wherever that is. */
export interface Launcher {
  /** Name of the node of the youngest life; undefined in this process. */
  readonly node: string | undefined;
  /** Rejects when there is nowhere to begin, and once `signal` is aborted. */
  launch(life: IncarnationStart, signal: AbortSignal): Promise<Incarnation>;
  /** Gives back what the actor claimed: it has no further life. Resolves once nothing is kept for one. */
  release(): Promise<void>;
}
