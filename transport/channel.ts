/** Message of a channel: one header, and beside it the bytes of any number of tensors. */
export interface Packet {
  /** Bytes laid out by `frame.ts`. The packet owns them, and the sender never uses them again. */
  readonly header: Uint8Array;
  /** Raw bytes of tensors, which within a process are views of shared memory. */
  readonly frames: readonly Uint8Array[];
}

/**
 * One end of an ordered two-way connection of two threads or hosts.
 *
 * Packets arrive once, in order, and never before `send` returned. Within a process frames are not copied: both ends
 * see the same memory. A channel does not bound what is sent. Senders of messages hold credits, which an actor's mailbox
 * gives, so that the limit reaches from end to end. Control packets need none.
 */
export interface Channel {
  /** Hands a packet to the peer. False when the channel is closed and the packet went nowhere. */
  send(packet: Packet): boolean;
  /** Sets the one receiver. Packets that came earlier are delivered to it first. */
  receive(receiver: (packet: Packet) => void): void;
  /** Resolves once either end has closed, or the peer's thread has ended. */
  readonly closed: Promise<void>;
  /** Closes both ends. What was sent before is still delivered to a peer that lives. */
  close(): void;
}
