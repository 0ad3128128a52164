import * as E from 'fp-ts/lib/Either.js';
import { CxmindError } from '../../src/errors.ts';
import type { Logger } from '../../src/log.ts';
import type { Channel } from '../channel.ts';
import type { Link } from '../link.ts';
import { decodeBulk, encodeChunkHead, encodeNext, type ChunkHead } from './bulk-wire.ts';
import { ZmqChannel, type ChannelLink } from './channel.ts';
import {
  batchBytes,
  bulkPartsOf,
  decodeControl,
  encodeBatch,
  encodeBeat,
  encodeEnd,
  sizeOfRecord,
  type ControlMessage,
  type EndReason,
  type InRecord,
  type OutRecord,
  type Progress,
  type Terms,
} from './control-wire.ts';
import { Fifo } from './fifo.ts';
import { Liveness } from './liveness.ts';
import { Incoming, Outgoing } from './sequence.ts';

/** Batches on their way that the peer has not acknowledged, and after how much it does so unasked. */
const controlWindowBytes = 4 << 20;
const controlAckBytes = controlWindowBytes / 4;
/** The same for chunks: what lies in the queues of both ends and of the network. */
const bulkWindowBytes = 16 << 20;
const bulkAckBytes = bulkWindowBytes / 4;
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
  #renewedAtMs = 0;

  readonly #channels = new Map<number, ZmqChannel>();
  readonly #channelLink: ChannelLink;
  readonly #unannounced: Channel[] = [];
  #onChannel: ((channel: Channel) => void) | undefined;
  #nextChannel: number;
  #nextPeerChannel: number;

  /** Records that are in no batch yet. */
  readonly #records = new Fifo<OutRecord>();
  readonly #batches = new Outgoing<Buffer>(controlWindowBytes);
  readonly #batchesIn = new Incoming();
  #isFlushing = false;
  #hasFlushed = false;
  #owedControlBytes = 0;

  /** Channels that have bulk to send and, for all we know, the credit for it; the next one first. */
  readonly #ready = new Set<ZmqChannel>();
  readonly #chunks = new Outgoing<{ head: Buffer; bytes: Uint8Array; part: Uint8Array }>(
    bulkWindowBytes,
  );
  readonly #chunksIn = new Incoming();
  /** Chunks that came before the batch they belong to. */
  readonly #early = new Fifo<{ head: ChunkHead; bytes: Buffer }>();
  #earlyBytes = 0;
  #owedBulkBytes = 0;

  #isClosing = false;
  #hasPeerLeft = false;

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
    this.#sendBeat(false, false);
  }

  /** A message from the control socket. */
  takeControl(message: Buffer): void {
    if (this.#hasEnded) return;
    const decoded = decodeControl(message);
    if (E.isLeft(decoded)) {
      this.#endByGarbage(decoded.left);
      return;
    }
    this.#guard(() => this.#takeControl(decoded.right, message.length));
  }

  /** A message from the bulk socket. */
  takeBulk(parts: readonly Buffer[]): void {
    if (this.#hasEnded) return;
    const decoded = decodeBulk(parts);
    if (E.isLeft(decoded)) {
      this.#endByGarbage(decoded.left);
      return;
    }
    const message = decoded.right;
    this.#liveness.heard();
    this.#guard(() => {
      if (message.kind === 'next') {
        if (this.#chunksIn.isBehind(message.sequence)) this.#sendBeat(false, true);
      } else {
        this.#takeChunk(message.head, message.bytes);
      }
    });
  }

  #takeControl(message: ControlMessage, sizeBytes: number): void {
    this.#liveness.heard();
    this.#takeProgress(message.progress);
    const { sequence } = message.progress;
    switch (message.kind) {
      case 'hello':
      case 'welcome':
        return;
      case 'end':
        this.#endByPeer(message.reason);
        return;
      case 'beat':
        if (this.#batchesIn.isBehind(sequence)) this.#sendBeat(true, false);
        return;
      case 'batch':
        this.#takeBatch(sequence, message.records, sizeBytes);
    }
  }

  #takeProgress({ acked, bulkAcked, isMissingBatches, isMissingChunks }: Progress): void {
    if (!this.#batches.acknowledge(acked) || !this.#chunks.acknowledge(bulkAcked)) {
      throw new CxmindError('WIRE_INVALID', 'control message: it acknowledges what was not sent');
    }
    if (isMissingBatches) {
      for (const batch of this.#batches.unacked()) this.#wire.sendControl(batch);
    }
    if (isMissingChunks) {
      for (const { head, bytes } of this.#chunks.unacked()) this.#wire.sendBulk(head, bytes);
    }
    if (this.#records.length > 0) this.#flush();
    else this.#sendChunks();
    this.#endIfAllSent();
  }

  #takeBatch(sequence: number, records: readonly InRecord[], sizeBytes: number): void {
    const verdict = this.#batchesIn.accept(sequence);
    if (verdict === 'ask') this.#sendBeat(true, false);
    if (verdict !== 'take') return;
    for (const record of records) {
      this.#takeRecord(record);
      if (this.#hasEnded) return;
    }
    this.#owedControlBytes += sizeBytes;
    this.#takeEarlyChunks();
    if (this.#owedControlBytes >= controlAckBytes) this.#sendBeat(false, false);
    this.#endIfPeerLeft();
  }

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
        this.#makeReady(channel);
        this.#sendChunks();
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
    const next = id % 2 === this.#nextChannel % 2 ? this.#nextChannel : this.#nextPeerChannel;
    if (id === 0 || id >= next) {
      throw new CxmindError('WIRE_INVALID', `link: channel ${id} was never opened`);
    }
    return this.#channels.get(id);
  }

  #takeChunk(head: ChunkHead, bytes: Buffer): void {
    const verdict = this.#chunksIn.accept(head.sequence);
    if (verdict === 'ask') this.#sendBeat(false, true);
    if (verdict !== 'take') return;
    this.#early.push({ head, bytes });
    this.#earlyBytes += bytes.length;
    this.#takeEarlyChunks();
    if (this.#earlyBytes > 2 * bulkWindowBytes) {
      throw new CxmindError('WIRE_INVALID', 'bulk: more than the window without its packets');
    }
    if (this.#owedBulkBytes >= bulkAckBytes) this.#sendBeat(false, false);
    this.#endIfPeerLeft();
  }

  #takeEarlyChunks(): void {
    for (let chunk = this.#early.peek(); chunk !== undefined; chunk = this.#early.peek()) {
      const { head, bytes } = chunk;
      if (head.batch >= this.#batchesIn.next) return;
      this.#early.shift();
      this.#earlyBytes -= bytes.length;
      this.#owedBulkBytes += bytes.length;
      this.#channelOf(head.channel)?.fill(head.offset, bytes);
      release(bytes);
    }
  }

  #enqueue(record: OutRecord): void {
    if (this.#hasEnded || this.#isClosing) return;
    this.#records.push(record);
    this.#flushSoon();
  }

  /**
   * Sends what is enqueued when the running code is done with it, so that many small packets make one batch; a
   * second time in one turn of the event loop only at its end.
   */
  #flushSoon(): void {
    if (this.#isFlushing) return;
    this.#isFlushing = true;
    if (this.#hasFlushed) return;
    queueMicrotask(() => {
      this.#hasFlushed = true;
      setImmediate(() => {
        this.#hasFlushed = false;
        if (this.#isFlushing) this.#flush();
      });
      this.#flush();
    });
  }

  #flush(): void {
    this.#isFlushing = false;
    if (this.#hasEnded) return;
    while (this.#records.length > 0 && this.#batches.hasRoom) this.#sendBatch();
    this.#sendChunks();
  }

  #sendBatch(): void {
    const sequence = this.#batches.next;
    const records: OutRecord[] = [];
    for (let size = 0; size < batchBytes;) {
      const record = this.#records.shift();
      if (record === undefined) break;
      if (
        record.kind === 'packet' &&
        this.#channels.get(record.channel)?.isClosedByPeer !== false
      ) {
        continue;
      }
      size += sizeOfRecord(record);
      records.push(record);
    }
    const batch = encodeBatch(this.#progress(), records);
    this.#batches.push(batch, batch.length);
    this.#wire.sendControl(batch);
    this.#owedControlBytes = this.#owedBulkBytes = 0;
    for (const record of records) {
      if (record.kind === 'packet') this.#queueBulk(record, sequence);
    }
  }

  #queueBulk({ channel: id, packet }: Extract<OutRecord, { kind: 'packet' }>, batch: number): void {
    const parts = bulkPartsOf(packet);
    const channel = parts.length === 0 ? undefined : this.#channels.get(id);
    if (channel === undefined) return;
    for (const part of parts) channel.outbox.push(part, batch);
    this.#makeReady(channel);
  }

  #makeReady(channel: ZmqChannel): void {
    if (!channel.outbox.isEmpty) this.#ready.add(channel);
  }

  /** Chunk by chunk, the channels take turns. */
  #sendChunks(): void {
    for (const channel of this.#ready) {
      if (!this.#chunks.hasRoom) return;
      this.#ready.delete(channel);
      const chunk = channel.outbox.next();
      if (chunk === undefined) continue;
      const { bytes, part, batch, offset } = chunk;
      const head = encodeChunkHead({
        sequence: this.#chunks.next,
        batch,
        offset,
        channel: channel.id,
        sizeBytes: bytes.byteLength,
      });
      this.#chunks.push({ head, bytes, part }, bytes.byteLength);
      this.#wire.sendBulk(head, bytes);
      this.#makeReady(channel);
    }
  }

  #beat(silentMs: number): void {
    this.#sendBeat(false, false);
    if (!this.#chunks.isIdle) this.#wire.sendBulk(encodeNext(this.#chunks.next));
    const patienceMs = this.#own.deadAfterMs / 3;
    if (silentMs < patienceMs) {
      this.#renewedAtMs = 0;
    } else if (silentMs - this.#renewedAtMs >= patienceMs) {
      // a connection that TCP holds for alive may not carry anything for minutes after a cut
      this.#renewedAtMs = silentMs;
      this.#wire.renew();
    }
  }

  #sendBeat(isMissingBatches: boolean, isMissingChunks: boolean): void {
    this.#wire.sendControl(encodeBeat({ ...this.#progress(), isMissingBatches, isMissingChunks }));
    this.#owedControlBytes = this.#owedBulkBytes = 0;
  }

  #progress(): Progress {
    return {
      sequence: this.#batches.next,
      acked: this.#batchesIn.next,
      bulkAcked: this.#chunksIn.next - this.#early.length,
      isMissingBatches: false,
      isMissingChunks: false,
    };
  }

  #endIfAllSent(): void {
    if (!this.#isClosing || this.#records.length > 0) return;
    if (!this.#batches.isIdle || !this.#chunks.isIdle) return;
    for (const channel of this.#channels.values()) if (!channel.outbox.isEmpty) return;
    this.#end(undefined, undefined);
  }

  #endIfPeerLeft(): void {
    if (!this.#hasPeerLeft || this.#hasEnded) return;
    for (const channel of this.#channels.values()) if (channel.isIncomplete) return;
    this.#sendBeat(false, false);
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

  #endByGarbage(error: CxmindError): void {
    this.#end('garbage', error);
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (thrown) {
      if (!(thrown instanceof CxmindError) || thrown.code !== 'WIRE_INVALID') throw thrown;
      this.#endByGarbage(thrown);
    }
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
    this.#records.clear();
    this.#batches.clear();
    this.#chunks.clear();
    this.#early.clear();
    this.#ready.clear();
    if (error !== undefined) this.#log?.warn({ error }, 'link ended');
    else this.#log?.debug({}, 'link ended');
    this.#resolveEnded(error);
  }
}

function lost(what: string): CxmindError {
  return new CxmindError('PEER_LOST', `link: ${what}`);
}

/** Gives a message's memory back at once; the collector would let many such messages stand. */
function release(bytes: Buffer): void {
  const { buffer } = bytes;
  const isAll = buffer.byteLength === bytes.length && bytes.length >= 4096;
  if (isAll && buffer instanceof ArrayBuffer) buffer.transfer(0);
}
