/**
 * One end of a link: a session that outlives the connections that carry it. README.md draws it with its reasons.
 *
 *   open ──── close(): say bye ────▶ closing ───────── the peer has all ─────────┐
 *    │ the peer says bye                │ the peer says bye                        ▼
 *    │                                  └─▶ parting ─ the peer has all, or ──────▶ ended
 *    └─▶ left ─────────────────────────────────────── all has come, or close() ─────▲
 *
 *   any state ── silence, garbage, the peer's end, lose() ──▶ ended
 *   any state ── a cut ──▶ the same state: both ends send again what the other lacks
 */
import { CxmindError } from '../../src/errors.ts';
import type { Channel } from '../channel.ts';
import type { Link } from '../link.ts';
import { BatchLane } from './batch-lane.ts';
import { BulkLane } from './bulk-lane.ts';
import { decodeBulk, type BulkMessage } from './bulk-message.ts';
import { ZmqChannel, type ChannelLink } from './channel.ts';
import { bulkPartsOf, decodeControl, encodeBeat, encodeEnd } from './control-message.ts';
import type {
  ControlMessage,
  EndReason,
  InRecord,
  OutRecord,
  Progress,
  Terms,
} from './control-message.ts';

type State = 'open' | 'closing' | 'left' | 'parting' | 'ended';

/** Channels open at once, beyond which a peer is not ours. */
const maxChannels = 1 << 16;

/** The sockets under a link. They may lose messages, but not reorder them on one connection. */
export interface Wire {
  sendControl(message: Buffer): void;
  sendBulk(frames: Uint8Array[]): void;
  /** Makes the connections anew, if this end is the one that made them. */
  renew(): void;
  /** Ends sending and receiving. What was sent is still delivered if that takes no long time. */
  close(): void;
}

/** The sockets of a link, and the terms of its two ends. */
export interface LinkParts {
  readonly wire: Wire;
  readonly own: Terms;
  readonly peer: Terms;
  /** True when this end connected. Channels that it opens have odd numbers, the others even ones. */
  readonly isConnector: boolean;
}

/** A link over one pair of sockets for small messages and one for bulk. The class knows no socket. */
export class ZmqLink implements Link {
  readonly peer: string;
  readonly #wire: Wire;
  readonly #own: Terms;
  readonly #peerTerms: Terms;
  readonly #pulse: NodeJS.Timeout;
  readonly #ended = Promise.withResolvers<CxmindError | undefined>();
  readonly ended = this.#ended.promise;
  readonly #batches: BatchLane;
  readonly #bulk: BulkLane;
  readonly #channels = new Map<number, ZmqChannel>();
  readonly #channelLink: ChannelLink;
  readonly #unannounced: Channel[] = [];
  #state: State = 'open';
  #onChannel: ((channel: Channel) => void) | undefined;
  #nextChannel: number;
  #nextPeerChannel: number;
  /** Intervals in which nothing came, without a break. */
  #silentIntervals = 0;
  #renewedAtMs = 0;

  constructor({ wire, own, peer, isConnector }: LinkParts) {
    this.peer = peer.name;
    this.#wire = wire;
    this.#own = own;
    this.#peerTerms = peer;
    [this.#nextChannel, this.#nextPeerChannel] = isConnector ? [1, 2] : [2, 1];
    this.#channelLink = {
      enqueue: (record) => this.#enqueue(record),
      forget: (channel) => this.#channels.delete(channel.id),
    };
    this.#batches = new BatchLane({
      transmit: (message) => this.#wire.sendControl(message),
      progress: () => this.#progress(),
      isWanted: (record) =>
        record.kind !== 'packet' || this.#channels.get(record.channel)?.isClosedByPeer === false,
      sent: (records, sequence) => this.#queueBulk(records, sequence),
    });
    this.#bulk = new BulkLane((frames) => this.#wire.sendBulk(frames));
    this.#pulse = setInterval(() => this.#beat(), own.intervalMs);
    // The listener tells its program of the link once this end speaks on it.
    if (isConnector) this.#tell();
  }

  open(): Channel {
    const channel = this.#newChannel(this.#nextChannel);
    this.#nextChannel += 2;
    if (this.#hasEnded() || this.#hasSaidBye()) channel.abandon();
    else this.#enqueue({ kind: 'open', channel: channel.id });
    return channel;
  }

  onChannel(listener: (channel: Channel) => void): void {
    this.#onChannel = listener;
    for (const channel of this.#unannounced.splice(0)) listener(channel);
  }

  /**
   * Closes every channel and then the link. Resolves when the peer has all that was sent, or is gone.
   *
   * A peer that takes nothing is waited for as long as one that says nothing.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === 'left') {
      // The peer throws away what this end sends, and here nobody waits for more of the peer's.
      this.#end('closed', undefined);
    } else if (this.#state === 'open') {
      for (const channel of this.#channels.values()) channel.close();
      this.#enqueue({ kind: 'bye', channel: 0 });
      this.#state = 'closing';
    }
    const timer = setTimeout(() => this.#end('closed', undefined), this.#own.deadAfterMs);
    await this.ended;
    clearTimeout(timer);
  }

  lose(error: CxmindError): void {
    this.#end('lost', error);
  }

  /** Takes a message from the control socket. */
  takeControl(message: Buffer): void {
    this.#orEnd(() => {
      const control = decodeControl(message);
      this.#silentIntervals = 0;
      this.#batches.hold();
      this.#takeControl(control, message.length);
    });
    this.#batches.letGo();
  }

  /** Takes a message from the bulk socket. */
  takeBulk(frames: readonly Buffer[]): void {
    this.#orEnd(() => {
      const bulk = decodeBulk(frames);
      this.#silentIntervals = 0;
      this.#takeBulk(bulk);
    });
  }

  /** Takes what the peer sent, and ends the link if that breaks the rules. */
  #orEnd(take: () => void): void {
    if (this.#state === 'ended') return;
    try {
      take();
    } catch (thrown) {
      if (!(thrown instanceof CxmindError) || thrown.code !== 'WIRE_INVALID') throw thrown;
      this.#end('garbage', thrown);
    }
  }

  #takeControl(message: ControlMessage, sizeBytes: number): void {
    this.#takeProgress(message.progress);
    if (this.#hasEnded()) return;
    const { sequence } = message.progress;
    switch (message.kind) {
      case 'hello':
      case 'welcome':
        return;
      case 'end':
        this.#endByPeer(message.reason);
        return;
      case 'beat':
        if (this.#batches.isBehind(sequence)) this.#tell({ isMissingBatches: true });
        return;
      case 'batch':
        this.#takeBatch(sequence, message.records, sizeBytes);
    }
  }

  #takeProgress({ acked, bulkAcked, isMissingBatches, isMissingChunks }: Progress): void {
    if (!this.#batches.acknowledge(acked) || !this.#bulk.acknowledge(bulkAcked)) {
      throw invalid('it acknowledges what was not sent');
    }
    if (isMissingBatches) this.#batches.sendAgain();
    if (isMissingChunks) this.#bulk.sendAgain();
    this.#batches.flush();
    this.#bulk.flush();
    if (this.#hasSaidBye() && this.#isAllSent()) this.#end(undefined, undefined);
  }

  #takeBatch(sequence: number, records: readonly InRecord[], sizeBytes: number): void {
    const verdict = this.#batches.accept(sequence);
    if (verdict === 'ask') this.#tell({ isMissingBatches: true });
    if (verdict !== 'take') return;
    this.#batches.take(sizeBytes);
    for (const record of records) {
      this.#takeRecord(record);
      if (this.#hasEnded()) return;
    }
    this.#afterTaking();
  }

  #takeBulk(message: BulkMessage): void {
    if (message.kind === 'next') {
      if (this.#bulk.isBehind(message.sequence)) this.#tell({ isMissingChunks: true });
      return;
    }
    const verdict = this.#bulk.acceptChunk(message.head, message.bytes);
    if (verdict === 'ask') this.#tell({ isMissingChunks: true });
    this.#afterTaking();
  }

  #afterTaking(): void {
    this.#bulk.drain(this.#batches.taken, this.#fill);
    if (this.#hasEnded()) return;
    if (this.#batches.owesReport || this.#bulk.owesReport) this.#tell();
    const hasPeerLeft = this.#state === 'left' || this.#state === 'parting';
    if (hasPeerLeft && this.#hasAllCome()) this.#end('closed', undefined);
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
      this.#state = this.#state === 'closing' ? 'parting' : 'left';
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
        this.#bulk.makeReady(channel.outbox);
        this.#bulk.flush();
        return;
      case 'close':
        channel.closeByPeer();
    }
  }

  #openByPeer(id: number): void {
    if (id !== this.#nextPeerChannel || this.#channels.size >= maxChannels) {
      throw invalid(`it opens channel ${id}`);
    }
    this.#nextPeerChannel += 2;
    const channel = this.#newChannel(id);
    if (this.#state === 'closing') channel.close();
    else if (this.#onChannel === undefined) this.#unannounced.push(channel);
    else this.#onChannel(channel);
  }

  #newChannel(id: number): ZmqChannel {
    const granted = this.#peerTerms.creditBytes;
    const channel = new ZmqChannel(id, this.#channelLink, granted, this.#own.creditBytes);
    this.#channels.set(id, channel);
    return channel;
  }

  /** The channel of a number; undefined once both ends have closed it. */
  #channelOf(id: number): ZmqChannel | undefined {
    const channel = this.#channels.get(id);
    if (channel !== undefined) return channel;
    const next = id % 2 === this.#nextChannel % 2 ? this.#nextChannel : this.#nextPeerChannel;
    if (id !== 0 && id < next) return undefined;
    throw invalid(`channel ${id} was never opened`);
  }

  /** Sends a record. After the bye nothing follows. */
  #enqueue(record: OutRecord): void {
    if (this.#state === 'open' || this.#state === 'left') this.#batches.enqueue(record);
  }

  /** Lets the bulk of the packets in a batch follow it. */
  #queueBulk(records: readonly OutRecord[], batch: number): void {
    for (const record of records) {
      if (record.kind !== 'packet') continue;
      const parts = bulkPartsOf(record.packet);
      const outbox = parts.length === 0 ? undefined : this.#channels.get(record.channel)?.outbox;
      if (outbox === undefined) continue;
      for (const part of parts) outbox.push(part, batch);
      this.#bulk.makeReady(outbox);
    }
    this.#bulk.flush();
  }

  /**
   * Tells the peer that this end is there, and ends the link once the peer was silent for too long.
   *
   * Silence is counted in intervals, not by the clock. While this process is held up or stopped, messages of the peer lie
   * unread, and the peer must not be taken for dead.
   */
  #beat(): void {
    const { intervalMs, deadAfterMs } = this.#own;
    const silentMs = ++this.#silentIntervals * intervalMs;
    if (silentMs > deadAfterMs) {
      this.#end('lost', lost(`${this.peer} was silent for ${deadAfterMs} ms`));
      return;
    }
    this.#tell();
    this.#bulk.remind();
    const patienceMs = deadAfterMs / 3;
    if (silentMs < patienceMs) {
      this.#renewedAtMs = 0;
    } else if (silentMs - this.#renewedAtMs >= patienceMs) {
      // After a cut, TCP may hold a connection for alive that carries nothing for minutes.
      this.#renewedAtMs = silentMs;
      this.#wire.renew();
    }
  }

  #tell(missing: Partial<Progress> = {}): void {
    this.#wire.sendControl(encodeBeat({ ...this.#progress(), ...missing }));
  }

  #progress(): Progress {
    return {
      sequence: this.#batches.next,
      acked: this.#batches.report(),
      bulkAcked: this.#bulk.report(),
      isMissingBatches: false,
      isMissingChunks: false,
    };
  }

  #isAllSent(): boolean {
    if (!this.#batches.isIdle || !this.#bulk.isAcked) return false;
    return this.#channels.values().every(({ outbox }) => outbox.isEmpty);
  }

  #hasAllCome(): boolean {
    return !this.#channels.values().some(({ isIncomplete }) => isIncomplete);
  }

  /** True once this end has said bye, after which it sends no more records. */
  #hasSaidBye(): boolean {
    return this.#state === 'closing' || this.#state === 'parting';
  }

  /** True when the link ended, which a call in between may have brought about. */
  #hasEnded(): boolean {
    return this.#state === 'ended';
  }

  #endByPeer(reason: EndReason): void {
    // A peer forgets a closing link when it has everything.
    if (reason === 'closed' || this.#hasSaidBye()) this.#end(undefined, undefined);
    else if (reason === 'lost') this.#end(undefined, lost(`${this.peer} gave up this link`));
    else
      this.#end(undefined, new CxmindError('WIRE_INVALID', `link: ${this.peer} could not read us`));
  }

  /** @param tell the reason that the peer is told; undefined when it knows */
  #end(tell: EndReason | undefined, error: CxmindError | undefined): void {
    if (this.#state === 'ended') return;
    if (tell !== undefined) this.#wire.sendControl(encodeEnd(this.#progress(), tell));
    this.#state = 'ended';
    clearInterval(this.#pulse);
    this.#wire.close();
    for (const channel of this.#channels.values()) channel.abandon();
    this.#channels.clear();
    this.#batches.clear();
    this.#bulk.clear();
    this.#ended.resolve(error);
  }
}

function lost(what: string): CxmindError {
  return new CxmindError('PEER_LOST', `link: ${what}`);
}

function invalid(what: string): CxmindError {
  return new CxmindError('WIRE_INVALID', `link: ${what}`);
}
