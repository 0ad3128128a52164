import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { collectShared } from '../../../src/tensor/memory.ts';
import type { Packet } from '../../../transport/channel.ts';
import { PayloadHeap } from '../../../transport/shared/heap.ts';
import { accountSize } from '../../../transport/shared/account.ts';
import { Slab, slabMemory, unitBytes } from '../../../transport/shared/slab.ts';
import { threadPair, type ThreadChannel } from '../../../transport/thread/channel.ts';
import { holderDoes, type HolderStart } from '../../support/holder-thread.ts';
import { Inbox } from '../../support/packets.ts';

const units = 64;

/** A thread that holds payloads, and this thread's end of the channel to it. */
class Holder implements AsyncDisposable {
  readonly slab: SharedArrayBuffer;
  readonly channel: ThreadChannel;
  readonly worker: Worker;
  readonly #exit: Promise<unknown>;
  readonly #inbox: Inbox;

  constructor(heap: PayloadHeap, slab = slabMemory(units * unitBytes)) {
    const [channel, end] = threadPair(heap);
    this.slab = slab;
    this.channel = channel;
    this.worker = new Worker(new URL('../../support/holder-thread.ts', import.meta.url), {
      workerData: { end, slab } satisfies HolderStart,
      transferList: [end.port],
    });
    this.#exit = once(this.worker, 'exit');
    this.#inbox = new Inbox(channel);
  }

  send(what: keyof typeof holderDoes, frames: readonly Uint8Array[] = [], byte = 0): void {
    this.channel.send({ header: Uint8Array.of(holderDoes[what], byte), frames });
  }

  answer(): Promise<Packet> {
    return this.#inbox.next();
  }

  /** Ends the thread from outside, or waits for the end it was told, and takes back what it held. */
  async end(how: 'terminate' | 'await'): Promise<void> {
    if (how === 'terminate') await this.worker.terminate();
    await this.#exit;
    await this.channel.closed;
    this.channel.reclaim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end('terminate');
  }
}

/** Waits until blocks are free; how many still were not after some rounds of collecting garbage. */
async function countHeld(
  memory: SharedArrayBuffer,
  blocks: readonly number[],
  rounds = 100,
): Promise<number> {
  const isHeld = (block: number): boolean => !new Slab(memory).isFree(block);
  for (let round = 0; round < rounds && blocks.some(isHeld); round++) {
    collectShared();
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  return blocks.filter(isHeld).length;
}

describe('payloads between threads', () => {
  let heap: PayloadHeap;
  beforeEach(() => (heap = new PayloadHeap(slabMemory(units * unitBytes))));

  /** Sends bytes and keeps nothing of them here; the block they are on, if there was room on the slab. */
  function give(holder: Holder, what: 'keep' | 'sendBack', byte: number): number | undefined {
    const frame = heap.share(new Uint8Array(5000).fill(byte));
    holder.send(what, [frame]);
    return heap.blockOf(frame.buffer)?.block;
  }

  it('are the same memory on both threads, slab or not, in the order they were sent', async () => {
    await using holder = new Holder(heap);
    const own = new Uint8Array(new SharedArrayBuffer(8));
    const block = heap.share(new Uint8Array(100).fill(1));
    const sent = [[block], [own], [block.subarray(3, 7), own, block], [], [own.subarray(2), block]];
    for (const frames of sent) holder.send('sendBack', frames);
    for (const frames of sent) {
      const { frames: back } = await holder.answer();
      assert.deepEqual(
        back.map(({ byteLength }) => byteLength),
        frames.map(({ byteLength }) => byteLength),
      );
      for (const [i, frame] of back.entries()) {
        frame[0]!++;
        assert.equal(frames[i]![0], frame[0]);
      }
    }
  });

  for (const how of ['worker.terminate()', 'process.exit()'] as const) {
    it(`come back from a thread that ended by ${how}`, async () => {
      await using holder = new Holder(heap);
      const blocks = Array.from({ length: 8 }, (_, i) => give(holder, 'keep', i)!);
      for (let i = 0; i < 8; i++) await holder.answer();
      assert.equal(await countHeld(heap.memory, blocks, 3), 8);
      if (how === 'process.exit()') holder.send('exit');
      await holder.end(how === 'process.exit()' ? 'await' : 'terminate');
      assert.equal(await countHeld(heap.memory, blocks), 0);
    });
  }

  it('come back from a thread that ended before it looked at them', async () => {
    await using holder = new Holder(heap);
    holder.send('exit');
    const blocks = Array.from({ length: 8 }, (_, i) => give(holder, 'keep', i)!);
    await holder.end('await');
    assert.equal(await countHeld(heap.memory, blocks), 0);
  });

  it('come back when both threads dropped them', async () => {
    await using holder = new Holder(heap);
    const block = give(holder, 'sendBack', 7)!;
    assert.equal((await holder.answer()).frames[0]![4999], 7);
    // the other thread collects garbage once it was handed a slab's worth
    for (let i = 0; !new Slab(heap.memory).isFree(block); i++) {
      assert.ok(i < 10_000, 'never freed');
      if (i % 50 === 0) collectShared();
      give(holder, 'sendBack', 1);
      await holder.answer();
    }
  });

  it('of a thread that ended stay whole here, and the rest is there for its successor', async () => {
    let frame: Uint8Array | undefined;
    await using first = new Holder(heap);
    first.send('sendOwn', [], 9);
    [frame] = (await first.answer()).frames;
    const block = heap.blockOf(frame!.buffer)!.block;
    for (let i = 0; i < 5; i++) {
      first.send('sendOwn', [], 1);
      await first.answer();
    }
    await first.end('terminate');
    await using second = new Holder(heap, first.slab);
    for (let i = 0; i < 40; i++) {
      second.send('sendOwn', [], 2);
      await second.answer();
    }
    assert.ok(frame!.every((byte) => byte === 9));
    assert.equal(new Slab(first.slab).isFree(block), false);
    frame = undefined;
    assert.equal(await countHeld(first.slab, [block]), 0);
  });

  it('go off their slab when more are granted than an account holds', async () => {
    await using holder = new Holder(heap);
    const block = heap.share(new Uint8Array(8).fill(3));
    const hundred = new Array<Uint8Array>(100).fill(block);
    for (let i = 0; i < accountSize; i += hundred.length) holder.send('keep', hundred);
    holder.send('sendBack', [block]);
    for (let i = 0; i < accountSize; i += hundred.length) await holder.answer();
    const [back] = (await holder.answer()).frames;
    assert.deepEqual(back, block);
    assert.notEqual(heap.blockOf(back.buffer)?.block, heap.blockOf(block.buffer)!.block);
  });
});
