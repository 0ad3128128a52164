import assert from 'node:assert/strict';
import { cudaView } from '../../../../src/device/cuda/view.ts';
import type { Device, View } from '../../../../src/device/device.ts';
import { CxmindError } from '../../../../src/errors.ts';
import type { Communicator } from '../../../../transport/collectives/communicator.ts';
import {
  NcclLibrary,
  type Transfer,
} from '../../../../transport/collectives/native/nccl-library.ts';
import { NcclGroup, type CardQueue, type Nccl } from '../../../../transport/collectives/nccl.ts';
import { joinThreadGroup, threadGroup } from '../../../../transport/collectives/threads.ts';

/** NCCL and a card in one that compute nothing: what is queued is done once all cards have queued as much. */
class Card implements CardQueue, Nccl {
  readonly stream: bigint;
  readonly calls: string[] = [];
  /** Error that the next look at the communicator gives. */
  failure: Error | undefined;
  readonly #cards: readonly Card[];
  readonly #rank: number;
  #queued = 0;

  constructor(cards: readonly Card[], rank: number) {
    this.#cards = cards;
    this.#rank = rank;
    this.stream = BigInt(100 + rank);
  }

  isIdle(): boolean {
    return this.#cards.every((card) => card.#queued >= this.#queued);
  }

  uniqueId(): Uint8Array {
    return Uint8Array.from({ length: 128 }, (_, i) => i);
  }

  join(id: Uint8Array, rank: number, size: number): bigint {
    assert.deepEqual(id, this.uniqueId());
    this.calls.push(`join ${rank} of ${size}`);
    return BigInt(200 + rank);
  }

  reduceScatter(handle: bigint, transfer: Transfer): void {
    this.#queue('reduceScatter', handle, transfer);
  }

  allGather(handle: bigint, transfer: Transfer): void {
    this.#queue('allGather', handle, transfer);
  }

  isSettled(): boolean {
    if (this.failure !== undefined) throw this.failure;
    return true;
  }

  abort(handle: bigint): void {
    this.calls.push(`abort ${handle}`);
  }

  #queue(name: string, handle: bigint, { input, output, count, dtype, stream }: Transfer): void {
    assert.equal(handle, BigInt(200 + this.#rank));
    assert.equal(stream, this.stream);
    this.#queued++;
    this.calls.push(`${name} ${input} to ${output}, ${count} x ${dtype}`);
  }
}

const view = <D extends 'f32' | 'bf16'>(dtype: D, address: number, count: number): View<D> =>
  cudaView(null as unknown as Device, dtype, [count], BigInt(address));

describe('NcclGroup', () => {
  let cards: Card[];
  let groups: Communicator[];
  let opened: NcclGroup[];
  beforeEach(async () => {
    cards = [];
    for (const rank of [0, 1, 2]) cards.push(new Card(cards, rank));
    const handle = threadGroup(3);
    groups = [0, 1, 2].map((rank) => joinThreadGroup(handle, rank));
    opened = await Promise.all(
      groups.map((group, i) => NcclGroup.open(group, cards[i]!, cards[i]!)),
    );
  });
  afterEach(async () => {
    for (const group of [...groups, ...opened]) await group[Symbol.asyncDispose]();
  });

  const gradients = [view('f32', 1000, 21), view('f32', 2000, 7)] as const;
  const sum = (rank: number): Promise<void> => opened[rank]!.reduceScatter(...gradients);
  /** The calls of a rank after it joined. */
  const callsOf = (rank: number): string[] => cards[rank]!.calls.slice(1);
  const queued = 'reduceScatter 1000 to 2000, 7 x f32';
  const lost = { code: 'PEER_LOST' } as const;

  it('sums and gathers on every card’s own queue, once all ranks have come to it', async () => {
    const first = [sum(0), sum(2)];
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.deepEqual(callsOf(0), []);
    await Promise.all([...first, sum(1)]);
    const weights = [view('bf16', 3014, 7), view('bf16', 3000, 21)] as const;
    await Promise.all(opened.map((group) => group.allGather(...weights)));
    for (const rank of [0, 1, 2]) {
      assert.deepEqual(cards[rank]!.calls, [
        `join ${rank} of 3`,
        queued,
        'allGather 3014 to 3000, 7 x bf16',
      ]);
    }
  });

  it('queues nothing where ranks ask for different things, or for what does not fit', async () => {
    const odd = opened[1]!.reduceScatter(view('f32', 1000, 24), view('f32', 2000, 8));
    const all = await Promise.allSettled([sum(0), odd, sum(2)]);
    for (const [rank, one] of all.entries()) {
      assert.ok(one.status === 'rejected');
      assert.match(
        String(one.reason),
        /rank 0 called reduceScatter\(7 x f32\), rank 1 .*\(8 x f32\)/,
      );
      assert.deepEqual(callsOf(rank), [`abort ${200 + rank}`]);
    }
    await assert.rejects(sum(0), { code: 'SHAPE_MISMATCH' });
  });

  it('aborts when a rank never comes, and calls nothing after that', async () => {
    const waiting = [sum(0), sum(2)];
    await groups[1]![Symbol.asyncDispose]();
    for (const one of waiting) await assert.rejects(one, lost);
    for (const rank of [0, 2]) {
      await assert.rejects(sum(rank), lost);
      assert.deepEqual(callsOf(rank), [`abort ${200 + rank}`]);
    }
  });

  it('aborts when the card of another rank fails, for which the own would wait for ever', async () => {
    cards[1]!.failure = new CxmindError('RUNTIME_FAILED', 'a link is down');
    const [first, second, third] = [sum(0), sum(1), sum(2)];
    await assert.rejects(second, { code: 'RUNTIME_FAILED', message: 'a link is down' });
    for (const other of [first, third]) await assert.rejects(other, { ...lost, message: /rank 1/ });
    for (const rank of [0, 1, 2]) assert.deepEqual(callsOf(rank), [queued, `abort ${200 + rank}`]);
  });

  it('aborts when a rank leaves while its card works', async () => {
    cards[2]!.isIdle = () => cards[2]!.calls.length < 2;
    const all = [sum(0), sum(1), sum(2)];
    while (callsOf(2).length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await groups[2]![Symbol.asyncDispose]();
    for (const one of all) await assert.rejects(one, lost);
    for (const rank of [0, 1, 2]) assert.deepEqual(callsOf(rank), [queued, `abort ${200 + rank}`]);
  });

  it('gives up what it has once', async () => {
    for (const group of opened) await group[Symbol.asyncDispose]();
    for (const group of opened) await group[Symbol.asyncDispose]();
    for (const rank of [0, 1, 2]) assert.deepEqual(callsOf(rank), [`abort ${200 + rank}`]);
    await assert.rejects(sum(0), lost);
  });
});

describe('NcclLibrary', () => {
  it('says in one line what is missing where it is, and the ways out', function () {
    try {
      new NcclLibrary();
    } catch (error) {
      assert.ok(error instanceof CxmindError);
      assert.equal(error.code, 'DEVICE_MISSING');
      assert.match(error.message, /^[^\n]*libnccl\.so\.2[^\n]*`[^`\n]+`[^\n]*n_gpus_per_node=1$/);
      return;
    }
    this.skip();
  });
});
