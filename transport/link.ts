import type { CxmindError } from '../src/errors.ts';
import type { Channel } from './channel.ts';

/**
 * Connection of two processes, with any number of channels.
 *
 * Packets of a channel arrive once and in order, also when the network connection broke and was made anew, unless the
 * peer was declared lost. Large frames of a packet never hold up small packets of another channel, or heartbeats.
 */
export interface Link extends AsyncDisposable {
  /** Name that the peer gives itself. */
  readonly peer: string;
  /** Opens a channel. The peer gets its end by `onChannel`, before the channel's first packet. */
  open(): Channel;
  /** Sets the one listener for channels that the peer opens. Earlier ones are delivered to it first. */
  onChannel(listener: (channel: Channel) => void): void;
  /**
   * Resolves when the link has ended: with undefined after an orderly close by either side, with PEER_LOST when the peer
   * was silent for too long. Every channel is closed by then.
   */
  readonly ended: Promise<CxmindError | undefined>;
  /** Ends the link at once with that error, for a caller who knows before the heartbeats do that the peer is gone. */
  lose(error: CxmindError): void;
}
