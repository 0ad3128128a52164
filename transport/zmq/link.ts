import * as E from 'fp-ts/lib/Either.js';
import { CxmindError } from '../../src/errors.ts';
import type { Logger } from '../../src/log.ts';
import type { Channel } from '../channel.ts';
import type { Link } from '../link.ts';
import { BatchLane } from './batch-lane.ts';
import { BulkLane } from './bulk-lane.ts';
import { decodeBulk, type BulkMessage } from './bulk-wire.ts';
import { ZmqChannel, type ChannelLink } from './channel.ts';
import { decodeControl } from './control-reader.ts';
import {
  bulkPartsOf,
  type ControlMessage,
  type EndReason,
  type InRecord,
  type OutRecord,
  type Progress,
  type Terms,
} from './control-wire.ts';
import { encodeBeat, encodeEnd } from './control-writer.ts';
import { Liveness } from './liveness.ts';

/** Channels open at once, beyond which a peer is not ours. */
const maxChannels = 1 << 16;

/** The sockets under a link; what they are given may be lost, but not reordered on one connection. */
export interface Wire {
  sendControl(message: Buffer): void;
  sendBulk(head: Buffer, bytes?: Uint8Array): void;
  /** Makes the connections anew, where this end is the one that made them. */
  renew(): void;
  /** Nothing more is sent or received; what was sent is delivered if that takes no long time. */
  close(): void;
}

export interface LinkParts {
  readonly wire: Wire;
  readonly own: Terms;
  readonly peer: Terms;
  /** Channels opened by the end that connected have odd numbers, the others even ones. */
  readonly isConnector: boolean;
  readonly log: Logger | undefined;
}

/** A link over a pair of sockets for small messages and one for bulk; the class knows no socket. */
export class ZmqLink implements Link {
  readonly peer: string;
  readonly ended: Promise<CxmindError | undefined>;
  readonly #wire: Wire;
  readonly #own: Terms;
  readonly #peerTerms: Terms;
  readonly #log: Logger | undefined;
  readonly #liveness: Liveness;
  readonly #resolveEnded: (error: CxmindError | undefined) => void;
  #hasEnded = false;
  #isClosing = false;
  #hasPeerLeft = false;
  #renewedAtMs = 0;

  readonly #batches: BatchLane;
  readonly #bulk: BulkLane;

  readonly #channels = new Map<number, ZmqChannel>();
  readonly #channelLink: ChannelLink;
  readonly #unannounced: Channel[] = [];
  #onChannel: ((channel: Channel) => void) | undefined;
  #nextChannel: number;
  #nextPeerChannel: number;

  constructor({ wire, own, peer, isConnector, log }: LinkParts) {
    this.peer = peer.name;
    this.#wire = wire;
    this.#own = own;
    this.#peerTerms = peer;
    this.#log = log?.child({ peer: peer.name });
    [this.#nextChannel, this.#nextPeerChannel] = isConnector ? [1, 2] : [2, 1];
    const { promise, resolve } = Promise.withResolvers<CxmindError | undefined>();
    this.ended = promise;
    this.#resolveEnded = resolve;
    this.#channelLink = {
      enqueue: (record) => this.#enqueue(record),
      forget: (channel) => this.#channels.delete(channel.id),
    };
    this.#batches = new BatchLane({
      send: (message) => this.#wire.sendControl(message),
      progress: () => this.#progress(),
      isWanted: (record) =>
        record.kind !== 'packet' || this.#channels.get(record.channel)?.isClosedByPeer === false,
      sent: (records, sequence) => this.#queueBulk(records, sequence),
    });
    this.#bulk = new BulkLane((head, bytes) => this.#wire.sendBulk(head, bytes));
    this.#liveness = new Liveness(own, {
      beat: (silentMs) => this.#beat(silentMs),
      dead: () => this.#end('lost', lost(`${peer.name} was silent for ${own.deadAfterMs} ms`)),
    });
  }

  open(): Channel {
    const channel = this.#newChannel(this.#nextChannel);
    this.#nextChannel += 2;
    if (this.#hasEnded || this.#isClosing) channel.abandon();
    else this.#enqueue({ kind: 'open', channel: channel.id });
    return channel;
  }

  onChannel(listener: (channel: Channel) => void): void {
    this.#onChannel = listener;
    for (const channel of this.#unannounced.splice(0)) listener(channel);
  }

  /**
   * Closes every channel and then the link; resolves when the peer has all that was sent, or is gone.
   *
   * A peer that takes nothing is waited for as long as one that says nothing.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isClosing && !this.#hasEnded) {
      for (const channel of this.#channels.values()) channel.close();
      this.#enqueue({ kind: 'bye', channel: 0 });
      this.#isClosing = true;
    }
    const timer = setTimeout(() => this.#end('closed', undefined), this.#own.deadAfterMs);
    await this.ended;
    clearTimeout(timer);
  }

  lose(error: CxmindError): void {
    this.#end('lost', error);
  }

  /** Tells the peer that this end knows of the link. */
  greet(): void {
    this.#tell(false, false);
  }

  /** A message from the control socket. */
  takeControl(message: Buffer): void {
    if (this.#hasEnded) return;
    const decoded = decodeControl(message);
    if (E.isLeft(decoded)) {
      this.#endByGarbage(decoded.left);
      return;
    }
    this.#liveness.heard();
    this.#batches.hold();
    try {
      this.#takeControl(decoded.right, message.length);
    } catch (thrown) {
      this.#endByGarbage(thrown);
    }
    this.#batches.letGo();
  }

  /** A message from the bulk socket. */
  takeBulk(parts: readonly Buffer[]): void {
    if (this.#hasEnded) return;
    const decoded = decodeBulk(parts);
    if (E.isLeft(decoded)) {
      this.#endByGarbage(decoded.left);
      return;
    }
    this.#liveness.heard();
    try {
      this.#takeBulk(decoded.right);
    } catch (thrown) {
      this.#endByGarbage(thrown);
    }
  }

  #takeControl(message: ControlMessage, sizeBytes: number): void {
    this.#takeProgress(message.progress);
    if (this.#hasEnded) return;
    const { sequence } = message.progress;
    switch (message.kind) {
      case 'hello':
      case 'welcome':
        return;
      case 'end':
        this.#endByPeer(message.reason);
        return;
      case 'beat':
        if (this.#batches.isBehind(sequence)) this.#tell(true, false);
        return;
      case 'batch':
        this.#takeBatch(sequence, message.records, sizeBytes);
    }
  }

  #takeProgress({ acked, bulkAcked, isMissingBatches, isMissingChunks }: Progress): void {
    if (!this.#batches.acknowledge(acked) || !this.#bulk.acknowledge(bulkAcked)) {
      throw new CxmindError('WIRE_INVALID', 'control message: it acknowledges what was not sent');
    }
    if (isMissingBatches) this.#batches.sendAgain();
    if (isMissingChunks) this.#bulk.sendAgain();
    this.#batches.flush();
    this.#bulk.flush();
    if (this.#isClosing) this.#endIfAllSent();
  }

  #takeBatch(sequence: number, records: readonly InRecord[], sizeBytes: number): void {
    const verdict = this.#batches.accept(sequence, sizeBytes);
    if (verdict === 'ask') this.#tell(true, false);
    if (verdict !== 'take') return;
    for (const record of records) {
      this.#takeRecord(record);
      if (this.#hasEnded) return;
    }
    this.#bulk.drain(this.#batches.expected, this.#fill);
    this.#afterTaking();
  }

  #takeBulk(message: BulkMessage): void {
    if (message.kind === 'next') {
      if (this.#bulk.isBehind(message.sequence)) this.#tell(false, true);
      return;
    }
    if (this.#bulk.accept(message.head, message.bytes) === 'ask') this.#tell(false, true);
    this.#bulk.drain(this.#batches.expected, this.#fill);
    this.#afterTaking();
  }

  #afterTaking(): void {
    if (this.#hasEnded) return;
    if (this.#batches.owesWord || this.#bulk.owesWord) this.#tell(false, false);
    if (this.#hasPeerLeft) this.#endIfAllCame();
  }

  readonly #fill = (channel: number, offset: number, bytes: Uint8Array): void => {
    this.#channelOf(channel)?.fill(offset, bytes);
  };

  #takeRecord(record: InRecord): void {
    if (record.kind === 'open') {
      this.#openByPeer(record.channel);
      return;
    }
    if (record.kind === 'bye') {
      this.#hasPeerLeft = true;
      return;
    }
    const channel = this.#channelOf(record.channel);
    if (channel === undefined) return;
    switch (record.kind) {
      case 'packet':
        channel.announce(record);
        return;
      case 'credit':
        channel.outbox.allow(record.limit);
        this.#bulk.makeReady(channel);
        this.#bulk.flush();
        return;
      case 'close':
        channel.closeByPeer();
    }
  }

  #openByPeer(id: number): void {
    if (id !== this.#nextPeerChannel || this.#channels.size >= maxChannels) {
      throw new CxmindError('WIRE_INVALID', `control message: it opens channel ${id}`);
    }
    this.#nextPeerChannel += 2;
    const channel = this.#newChannel(id);
    if (this.#isClosing) channel.close();
    else if (this.#onChannel === undefined) this.#unannounced.push(channel);
    else this.#onChannel(channel);
  }

  #newChannel(id: number): ZmqChannel {
    const granted = this.#peerTerms.creditBytes;
    const channel = new ZmqChannel(id, this.#channelLink, granted, this.#own.creditBytes);
    this.#channels.set(id, channel);
    return channel;
  }

  /** Undefined for a channel that both ends have closed. */
  #channelOf(id: number): ZmqChannel | undefined {
    const channel = this.#channels.get(id);
    if (channel !== undefined) return channel;
    const next = id % 2 === this.#nextChannel % 2 ? this.#nextChannel : this.#nextPeerChannel;
    if (id !== 0 && id < next) return undefined;
    throw new CxmindError('WIRE_INVALID', `link: channel ${id} was never opened`);
  }

  #enqueue(record: OutRecord): void {
    if (!this.#hasEnded && !this.#isClosing) this.#batches.enqueue(record);
  }

  /** What a batch announced may now follow it. */
  #queueBulk(records: readonly OutRecord[], batch: number): void {
    for (const record of records) {
      if (record.kind !== 'packet') continue;
      const parts = bulkPartsOf(record.packet);
      const channel = parts.length === 0 ? undefined : this.#channels.get(record.channel);
      if (channel === undefined) continue;
      for (const part of parts) channel.outbox.push(part, batch);
      this.#bulk.makeReady(channel);
    }
    this.#bulk.flush();
  }

  #beat(silentMs: number): void {
    this.#tell(false, false);
    this.#bulk.remind();
    const patienceMs = this.#own.deadAfterMs / 3;
    if (silentMs < patienceMs) {
      this.#renewedAtMs = 0;
    } else if (silentMs - this.#renewedAtMs >= patienceMs) {
      // a connection that TCP holds for alive may not carry anything for minutes after a cut
      this.#renewedAtMs = silentMs;
      this.#wire.renew();
    }
  }

  #tell(isMissingBatches: boolean, isMissingChunks: boolean): void {
    this.#wire.sendControl(encodeBeat({ ...this.#progress(), isMissingBatches, isMissingChunks }));
  }

  #progress(): Progress {
    this.#batches.settle();
    this.#bulk.settle();
    return {
      sequence: this.#batches.next,
      acked: this.#batches.expected,
      bulkAcked: this.#bulk.expected,
      isMissingBatches: false,
      isMissingChunks: false,
    };
  }

  #endIfAllSent(): void {
    if (!this.#batches.isIdle || !this.#bulk.isIdle) return;
    for (const channel of this.#channels.values()) if (!channel.outbox.isEmpty) return;
    this.#end(undefined, undefined);
  }

  #endIfAllCame(): void {
    for (const channel of this.#channels.values()) if (channel.isIncomplete) return;
    this.#tell(false, false);
    this.#end(undefined, undefined);
  }

  #endByPeer(reason: EndReason): void {
    // while closing: the peer forgot us because it had everything
    if (reason === 'closed' || this.#isClosing) this.#end(undefined, undefined);
    else if (reason === 'lost') this.#end(undefined, lost(`${this.peer} gave up this link`));
    else {
      const error = new CxmindError('WIRE_INVALID', `link: ${this.peer} could not read us`);
      this.#end(undefined, error);
    }
  }

  #endByGarbage(thrown: unknown): void {
    if (!(thrown instanceof CxmindError) || thrown.code !== 'WIRE_INVALID') throw thrown;
    this.#end('garbage', thrown);
  }

  /** @param tell what the peer is told; nothing when it knows */
  #end(tell: EndReason | undefined, error: CxmindError | undefined): void {
    if (this.#hasEnded) return;
    if (tell !== undefined) this.#wire.sendControl(encodeEnd(this.#progress(), tell));
    this.#hasEnded = true;
    this.#liveness[Symbol.dispose]();
    this.#wire.close();
    for (const channel of this.#channels.values()) channel.abandon();
    this.#channels.clear();
    this.#batches.clear();
    this.#bulk.clear();
    if (error !== undefined) this.#log?.warn({ error }, 'link ended');
    else this.#log?.debug({}, 'link ended');
    this.#resolveEnded(error);
  }
}

function lost(what: string): CxmindError {
  return new CxmindError('PEER_LOST', `link: ${what}`);
}
