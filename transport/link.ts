import type { CxmindError } from '../src/errors.ts';
import type { Channel } from './channel.ts';

/**
 * The connection of two processes: any number of channels over one transport.
 *
 * Packets of a channel arrive once and in order, also over a connection that broke and was made anew, as
 * long as the peer was not declared lost. A packet's large frames never hold up another channel's small
 * ones, nor the heartbeats.
 */
export interface Link extends AsyncDisposable {
  /** What the peer calls itself. */
  readonly peer: string;
  /** A new channel; the peer gets its end by `onChannel`, before the channel's first packet. */
  open(): Channel;
  /** Sets the one listener for channels that the peer opens; earlier ones are delivered to it first. */
  onChannel(listener: (channel: Channel) => void): void;
  /**
   * Resolves when the link ended: with nothing after an orderly close by either side, with PEER_LOST when
   * the peer was silent for too long. Every channel is closed by then.
   */
  readonly ended: Promise<CxmindError | undefined>;
  /** Ends the link at once with that error: the caller knows, before the heartbeats do, that the peer is gone. */
  lose(error: CxmindError): void;
}
