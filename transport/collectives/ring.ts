import { CxmindError } from '../../src/errors.ts';
import { bytesPerElement } from '../../src/tensor/dtype.ts';
import { bytesOf } from '../shared/bytes.ts';
import { CALL_WORDS, disagreement, encodeCall, type Call } from './call.ts';
import { copy, scratch, slice, type Elements } from './elements.ts';
import type { Engine, Message } from './group.ts';
import { Inbox, type MessageSource } from './inbox.ts';
import { divideBy, narrow, reduceInto, widen } from './reduction.ts';
import type { Peer } from './peer.ts';

/** Bytes sent at a time: a rank passes on one chunk while the next is on its way to it. */
const CHUNK_BYTES = 512 * 1024;

/** The other ranks of a group, null in the own place; calls and messages have a line each. */
export interface Mesh {
  readonly rank: number;
  readonly calls: readonly (Peer | null)[];
  readonly messages: readonly (Peer | null)[];
  /** The mesh of a new group, as `Engine.split`. */
  split(groups: readonly (readonly number[])[]): Promise<Mesh | null>;
  close(): Promise<void>;
}

/**
 * Collectives over lines between ranks: each rank takes from its left neighbour and gives to its right
 * one, so that every line carries as little as any algorithm can do with.
 */
export class RingEngine implements Engine {
  readonly rank: number;
  readonly size: number;
  readonly #mesh: Mesh;
  readonly #inboxes: readonly (Inbox | null)[];

  constructor(mesh: Mesh) {
    this.#mesh = mesh;
    this.rank = mesh.rank;
    this.size = mesh.calls.length;
    this.#inboxes = mesh.messages.map((peer) => peer && new Inbox(messagesOf(peer)));
  }

  async run(call: Call, input: Elements | null, output: Elements | null): Promise<void> {
    await this.agree(call);
    const { operation, root, count, dtype } = call;
    const rows: Cut = (r) => [r * count, (r + 1) * count];
    const cut: Cut = (r) => [
      Math.floor((count * r) / this.size),
      Math.floor((count * (r + 1)) / this.size),
    ];
    switch (operation) {
      case 'barrier':
      case 'split':
        return;
      case 'broadcast':
        return this.#passOn(output!, root);
      case 'allReduce':
        await this.#reduce(call, input!, cut, slice(output!, ...cut(this.rank)));
        return this.#circulate(output!, cut);
      case 'reduce': {
        const [start, end] = cut(this.rank);
        const own = scratch(dtype, end - start);
        await this.#reduce(call, input!, cut, own);
        return this.#collect(own, output, root, cut);
      }
      case 'reduceScatter':
        return this.#reduce(call, input!, rows, output!);
      case 'allGather':
        copy(input!, output!, this.rank * count);
        return this.#circulate(output!, rows);
      case 'gather':
        return this.#collect(input!, output, root, rows);
      case 'scatter':
        return this.#spread(input, output!, root, rows);
    }
  }

  /** Rejects on every rank unless all ranks call the same; resolves when all have called. */
  async agree(call: Call): Promise<void> {
    const own = encodeCall(call);
    const words = new Int32Array(this.size * CALL_WORDS);
    words.set(own, this.rank * CALL_WORDS);
    for (const peer of this.#mesh.calls) peer?.send(bytesOf(own));
    for (const [rank, peer] of this.#mesh.calls.entries()) {
      if (peer !== null)
        fill(words.subarray(rank * CALL_WORDS, (rank + 1) * CALL_WORDS), await peer.receive());
    }
    const error = disagreement(words);
    if (error !== undefined) throw error;
  }

  async send({ tag, dtype, elements }: Message, to: number): Promise<void> {
    const peer = this.#mesh.messages[to]!;
    const { byteLength } = elements;
    peer.send(bytesOf(Int32Array.of(tag, dtype, byteLength | 0, Math.floor(byteLength / 2 ** 32))));
    for (const chunk of chunksOf(bytesOf(elements))) peer.send(chunk);
    return Promise.resolve();
  }

  receive(message: Message, from: number): Promise<void> {
    return this.#inboxes[from]!.receive(message);
  }

  async split(groups: readonly (readonly number[])[]): Promise<Engine | null> {
    const mesh = await this.#mesh.split(groups);
    return mesh && new RingEngine(mesh);
  }

  close(): Promise<void> {
    return this.#mesh.close();
  }

  /**
   * Reduces this rank's part of all inputs into `result`. The sum of a part begins at the rank after its
   * owner, and goes round to it; that of halves travels as f32.
   */
  async #reduce(call: Call, input: Elements, cut: Cut, result: Elements): Promise<void> {
    const { dtype, reduction } = call;
    const wide = dtype === 'f16' || dtype === 'bf16' ? 'f32' : dtype;
    const stride = CHUNK_BYTES / bytesPerElement(wide);
    const widened = (part: Elements): Elements => {
      if (dtype !== 'f16' && dtype !== 'bf16') return part;
      const into = new Float32Array(part.length);
      widen(dtype, part, 0, into);
      return into;
    };
    const fold = reduction === 'max' ? 'max' : 'sum';
    const finish = (sum: Elements, at: number): void => {
      if (reduction === 'mean') divideBy(wide, sum, this.size);
      if (dtype === 'f16' || dtype === 'bf16') narrow(dtype, sum as Float32Array, result, at);
      else copy(sum, result, at);
    };
    const own = (step: number): Elements[] =>
      strided(slice(input, ...cut((this.rank + 2 * this.size - step - 1) % this.size)), stride);

    if (this.size === 1) {
      own(0).forEach((chunk, k) => finish(widened(chunk).slice(), k * stride));
      return;
    }
    for (const chunk of own(0)) this.#right.send(bytesOf(widened(chunk)));
    for (let step = 1; step < this.size; step++) {
      for (const [k, chunk] of own(step).entries()) {
        const block = await this.#left.receive();
        const sum = scratch(wide, chunk.length);
        fill(sum, block);
        reduceInto(wide, fold, sum, [sum, widened(chunk)]);
        if (step < this.size - 1) this.#right.send(bytesOf(sum));
        else finish(sum, k * stride);
      }
    }
  }

  /** Sends this rank's part of `tensor` round, and fills in everybody else's. */
  async #circulate(tensor: Elements, cut: Cut): Promise<void> {
    if (this.size === 1) return;
    const part = (step: number): Uint8Array[] =>
      chunksOf(bytesOf(slice(tensor, ...cut((this.rank + this.size - step) % this.size))));
    for (const chunk of part(0)) this.#right.send(chunk);
    for (let step = 1; step < this.size; step++) {
      for (const chunk of part(step)) {
        fill(chunk, await this.#left.receive());
        if (step < this.size - 1) this.#right.send(chunk);
      }
    }
  }

  /** From the root along the ring, chunk by chunk. */
  async #passOn(tensor: Elements, root: number): Promise<void> {
    const isLast = (this.rank + 1) % this.size === root;
    for (const chunk of chunksOf(bytesOf(tensor))) {
      if (this.rank !== root) fill(chunk, await this.#left.receive());
      if (!isLast) this.#right.send(chunk);
    }
  }

  /** Everybody's part straight to the root. */
  async #collect(own: Elements, output: Elements | null, root: number, cut: Cut): Promise<void> {
    if (this.rank !== root) {
      for (const chunk of chunksOf(bytesOf(own))) this.#mesh.calls[root]!.send(chunk);
      return;
    }
    copy(own, output!, cut(root)[0]);
    for (const [rank, peer] of this.#mesh.calls.entries()) {
      if (peer === null) continue;
      for (const chunk of chunksOf(bytesOf(slice(output!, ...cut(rank))))) {
        fill(chunk, await peer.receive());
      }
    }
  }

  /** Everybody's part straight from the root. */
  async #spread(input: Elements | null, output: Elements, root: number, cut: Cut): Promise<void> {
    if (this.rank !== root) {
      const peer = this.#mesh.calls[root]!;
      for (const chunk of chunksOf(bytesOf(output))) fill(chunk, await peer.receive());
      return;
    }
    copy(slice(input!, ...cut(root)), output, 0);
    for (const [rank, peer] of this.#mesh.calls.entries()) {
      for (const chunk of chunksOf(bytesOf(slice(input!, ...cut(rank))))) peer?.send(chunk);
    }
  }

  get #left(): Peer {
    return this.#mesh.calls[(this.rank + this.size - 1) % this.size]!;
  }

  get #right(): Peer {
    return this.#mesh.calls[(this.rank + 1) % this.size]!;
  }
}

/** First element and end of a rank's part. */
type Cut = (rank: number) => [number, number];

/** Views of `stride` elements each, the last may be shorter. */
function strided(elements: Elements, stride: number): Elements[] {
  const count = Math.ceil(elements.length / stride);
  return Array.from({ length: count }, (_, k) => slice(elements, k * stride, (k + 1) * stride));
}

function chunksOf(bytes: Uint8Array): Uint8Array[] {
  const count = Math.ceil(bytes.length / CHUNK_BYTES);
  return Array.from({ length: count }, (_, k) =>
    bytes.subarray(k * CHUNK_BYTES, (k + 1) * CHUNK_BYTES),
  );
}

/** Copies a received block, which must be as long as what it is for. */
function fill(into: ArrayBufferView, block: Uint8Array): void {
  if (block.length !== into.byteLength) {
    throw new CxmindError(
      'WIRE_INVALID',
      `collective: a block of ${block.length} bytes where ${into.byteLength} were due`,
    );
  }
  bytesOf(into).set(block);
}

/** The messages of a peer: a head of four words each, then chunks. */
function messagesOf(peer: Peer): MessageSource {
  return {
    async head() {
      const head = new Int32Array(4);
      fill(head, await peer.receive());
      const [tag, dtype, low, high] = head;
      return { tag: tag!, dtype: dtype!, byteLength: (low! >>> 0) + high! * 2 ** 32 };
    },
    async body(into) {
      for (const chunk of chunksOf(into)) fill(chunk, await peer.receive());
    },
  };
}
