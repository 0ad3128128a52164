import { CxmindError } from '../../src/errors.ts';
import { bytesOf } from '../../src/tensor/dtype.ts';
import { CALL_WORDS, disagreement, encodeCall, type Call } from './call.ts';
import { copy, rowOf, type Elements } from './elements.ts';
import type { Engine } from './communicator.ts';
import type { Peer } from './peer.ts';
import { sumInto } from './sum.ts';

/** Bytes of a chunk. A rank passes on one chunk while the next is on its way to it. */
const CHUNK_BYTES = 512 * 1024;

/** Lines of a rank to the others of its group. */
export interface Mesh {
  readonly rank: number;
  /** Lines by rank; null for this one. */
  readonly peers: readonly (Peer | null)[];
  close(): Promise<void>;
}

/**
 * Ring collectives: each rank takes from its left neighbour and gives to its right one.
 *
 * Every line carries (n - 1) / n of the data, which is the least that any algorithm can do with. The engine deviates
 * from the textbook in that gather and scatter use the direct lines to the root, and that a tensor goes in chunks.
 *
 * @see Patarasuk and Yuan, Bandwidth optimal all-reduce algorithms for clusters of workstations, 2009
 */
export class RingEngine implements Engine {
  readonly rank: number;
  readonly size: number;
  readonly #mesh: Mesh;

  constructor(mesh: Mesh) {
    this.#mesh = mesh;
    this.rank = mesh.rank;
    this.size = mesh.peers.length;
  }

  /**
   * The ring of some of these ranks, of which this is one, over the same lines.
   *
   * Its calls come between those of all ranks. It is open as long as this one.
   */
  among(ranks: readonly number[]): RingEngine {
    return new RingEngine({
      rank: ranks.indexOf(this.rank),
      peers: ranks.map((rank) => this.#mesh.peers[rank]!),
      close: () => Promise.resolve(),
    });
  }

  async run(call: Call, input: Elements | null, output: Elements | null): Promise<void> {
    await this.agree(call);
    const { operation, root, count } = call;
    const rows = (all: Elements | null): Row => {
      return (rank) => rowOf(all!, rank, count);
    };
    switch (operation) {
      case 'barrier':
        return;
      case 'broadcast':
        return this.#passOn(output!, root);
      case 'reduceScatter':
        return this.#sum(rows(input) as Row<Float32Array>, output as Float32Array);
      case 'allGather':
        copy(input!, output!, this.rank * count);
        return this.#circulate(rows(output));
      case 'gather':
        return this.#collect(input!, rows(output), root);
      case 'scatter':
        return this.#spread(rows(input), output!, root);
    }
  }

  /** Resolves when all ranks have called. Rejects on every rank unless all calls fit together. */
  async agree(call: Call): Promise<void> {
    const own = encodeCall(call);
    const words = new Int32Array(this.size * CALL_WORDS);
    words.set(own, this.rank * CALL_WORDS);
    for (const peer of this.#mesh.peers) peer?.send(bytesOf(own));
    for (const [rank, peer] of this.#mesh.peers.entries()) {
      if (peer !== null)
        fill(words.subarray(rank * CALL_WORDS, (rank + 1) * CALL_WORDS), await peer.receive());
    }
    const error = disagreement(words);
    if (error !== undefined) throw error;
  }

  close(): Promise<void> {
    return this.#mesh.close();
  }

  /** Adds up this rank's row over all ranks. The sum of a row begins at the rank after its owner and goes round to it. */
  async #sum(row: Row<Float32Array>, result: Float32Array): Promise<void> {
    if (this.size === 1) {
      result.set(row(0));
      return;
    }
    const part = (step: number): Float32Array[] =>
      chunksOf(row((this.rank + 2 * this.size - step - 1) % this.size));
    const results = chunksOf(result);
    for (const chunk of part(0)) this.#right.send(bytesOf(chunk));
    for (let step = 1; step < this.size; step++) {
      const isLast = step === this.size - 1;
      for (const [k, own] of part(step).entries()) {
        const sum = new Float32Array(own.length);
        fill(sum, await this.#left.receive());
        sumInto(isLast ? results[k]! : sum, [sum, own]);
        if (!isLast) this.#right.send(bytesOf(sum));
      }
    }
  }

  /** Sends this rank's row round, and fills in the rows of the others. */
  async #circulate(row: Row): Promise<void> {
    if (this.size === 1) return;
    const part = (step: number): Uint8Array[] =>
      chunksOf(bytesOf(row((this.rank + this.size - step) % this.size)));
    for (const chunk of part(0)) this.#right.send(chunk);
    for (let step = 1; step < this.size; step++) {
      for (const chunk of part(step)) {
        fill(chunk, await this.#left.receive());
        if (step < this.size - 1) this.#right.send(chunk);
      }
    }
  }

  /** Copies the root's tensor along the ring, chunk by chunk. */
  async #passOn(tensor: Elements, root: number): Promise<void> {
    const isLast = (this.rank + 1) % this.size === root;
    for (const chunk of chunksOf(bytesOf(tensor))) {
      if (this.rank !== root) fill(chunk, await this.#left.receive());
      if (!isLast) this.#right.send(chunk);
    }
  }

  /** Copies the row of each rank straight to the root. */
  async #collect(own: Elements, row: Row, root: number): Promise<void> {
    if (this.rank !== root) {
      for (const chunk of chunksOf(bytesOf(own))) this.#mesh.peers[root]!.send(chunk);
      return;
    }
    copy(own, row(root), 0);
    for (const [rank, peer] of this.#mesh.peers.entries()) {
      if (peer === null) continue;
      for (const chunk of chunksOf(bytesOf(row(rank)))) fill(chunk, await peer.receive());
    }
  }

  /** Copies the row of each rank straight from the root. */
  async #spread(row: Row, output: Elements, root: number): Promise<void> {
    if (this.rank !== root) {
      const peer = this.#mesh.peers[root]!;
      for (const chunk of chunksOf(bytesOf(output))) fill(chunk, await peer.receive());
      return;
    }
    copy(row(root), output, 0);
    for (const [rank, peer] of this.#mesh.peers.entries()) {
      for (const chunk of chunksOf(bytesOf(row(rank)))) peer?.send(chunk);
    }
  }

  get #left(): Peer {
    return this.#mesh.peers[(this.rank + this.size - 1) % this.size]!;
  }

  get #right(): Peer {
    return this.#mesh.peers[(this.rank + 1) % this.size]!;
  }
}

/** Finds a rank's row of a tensor that has one for each rank, in place. */
type Row<E extends Elements = Elements> = (rank: number) => E;

/** Views of one chunk each. The last may be shorter. */
function chunksOf<A extends Float32Array | Uint8Array>(all: A): A[] {
  const stride = CHUNK_BYTES / all.BYTES_PER_ELEMENT;
  const count = Math.ceil(all.length / stride);
  return Array.from({ length: count }, (_, k) => all.subarray(k * stride, (k + 1) * stride) as A);
}

/** Copies a received block. @throws WIRE_INVALID unless it has the length of `into` */
function fill(into: ArrayBufferView, block: Uint8Array): void {
  if (block.length !== into.byteLength) {
    throw new CxmindError(
      'WIRE_INVALID',
      `collective: a block of ${block.length} bytes where ${into.byteLength} were due`,
    );
  }
  bytesOf(into).set(block);
}
