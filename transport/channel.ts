/** What a channel carries: one header, and the bytes of any number of tensors beside it. */
export interface Packet {
  /** Laid out by `frame.ts`; owned by the packet, never reused by the sender. */
  readonly header: Uint8Array;
  /** Raw tensor bytes, views of shared memory while they stay within a process. */
  readonly frames: readonly Uint8Array[];
}

/**
 * One end of an ordered, two-way link between two threads or hosts.
 *
 * Packets arrive once, in order, and never before `send` returned. Frames are not copied within a process: both
 * ends see the same memory. A channel has no bound of its own: whoever sends messages holds credits
 * (the mailbox of an actor), so that the limit reaches from end to end; control packets need none.
 */
export interface Channel extends Disposable {
  /** Hands a packet to the peer; false when the channel is closed and the packet went nowhere. */
  send(packet: Packet): boolean;
  /** Sets the one receiver; packets that came earlier are delivered to it first. */
  receive(receiver: (packet: Packet) => void): void;
  /** Resolves once either end closed, or the peer's thread ended. */
  readonly closed: Promise<void>;
  /** Closes both ends; what was sent before is still delivered where the peer lives. */
  close(): void;
}
