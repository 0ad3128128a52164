import assert from 'node:assert/strict';
import fc from 'fast-check';
import {
  Account,
  accountBytes,
  accountSize,
  accountWords,
  endGrant,
} from '../../../transport/shared/account.ts';
import { PayloadHeap } from '../../../transport/shared/heap.ts';
import { Slab, SlabAllocator, slabMemory, unitBytes } from '../../../transport/shared/slab.ts';
import { collectShared } from '../../../src/tensor/memory.ts';

const units = 16;
const someSlab = (): SharedArrayBuffer => slabMemory(units * unitBytes);

describe('slab', () => {
  it('never gives a unit to two blocks, and none back while anybody holds it', () => {
    const step = fc.oneof(
      fc.record({ take: fc.integer({ min: 1, max: 5 * unitBytes }) }),
      fc.record({ grant: fc.nat(9) }),
      fc.record({ drop: fc.nat(9) }),
      fc.record({ release: fc.nat(9) }),
      fc.constant('crash' as const),
    );
    interface Block {
      readonly at: number;
      readonly units: number;
      owned: boolean;
      grants: number;
    }
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const memory = someSlab();
        let allocator = new SlabAllocator(memory);
        const { slab } = allocator;
        let blocks: Block[] = [];
        const pick = (i: number, may: (block: Block) => boolean): Block | undefined => {
          const able = blocks.filter(may);
          return able[i % Math.max(1, able.length)];
        };
        for (const now of steps) {
          if (now === 'crash') {
            allocator = new SlabAllocator(memory);
            for (const block of blocks) block.owned = false;
          } else if ('take' in now) {
            const at = allocator.take(now.take);
            const taken = Math.ceil(now.take / unitBytes);
            if (at === undefined) {
              const isTaken = (unit: number): boolean =>
                blocks.some((block) => unit >= block.at && unit < block.at + block.units);
              const isRun = (start: number): boolean =>
                start + taken <= units &&
                Array.from({ length: taken }, (_, i) => start + i).every((unit) => !isTaken(unit));
              assert.ok(!Array.from({ length: units }, (_, i) => i).some(isRun), 'there was room');
              continue;
            }
            for (const block of blocks) {
              assert.ok(at + taken <= block.at || block.at + block.units <= at, 'an overlap');
            }
            assert.ok(at + taken <= units);
            assert.ok(slab.offsetOf(at) + now.take <= memory.byteLength);
            blocks.push({ at, units: taken, owned: true, grants: 0 });
          } else if ('grant' in now) {
            const block = pick(now.grant, ({ owned, grants }) => owned || grants > 0);
            if (block !== undefined) {
              block.grants++;
              slab.grant(block.at);
            }
          } else if ('drop' in now) {
            const block = pick(now.drop, ({ owned }) => owned);
            if (block !== undefined) {
              block.owned = false;
              slab.drop(block.at);
            }
          } else {
            const block = pick(now.release, ({ grants }) => grants > 0);
            if (block !== undefined) {
              block.grants--;
              slab.release(block.at);
            }
          }
          blocks = blocks.filter(({ owned, grants }) => owned || grants > 0);
        }
        allocator.sweep();
        assert.equal(
          allocator.unitsTaken,
          blocks.reduce((sum, block) => sum + block.units, 0),
        );
      }),
      { numRuns: 500 },
    );
  });
});

describe('slab memory', () => {
  it('has every block at a multiple of 64 bytes, whatever size was asked for', () => {
    for (const dataBytes of [0, 1, 1024, 1025, 5 * 1024, 1e6]) {
      const slab = new Slab(slabMemory(dataBytes));
      assert.ok(slab.units * unitBytes >= dataBytes);
      assert.equal(slab.offsetOf(0) % 64, 0);
      assert.equal(slab.offsetOf(3) % 64, 0);
      assert.equal(slab.offsetOf(slab.units), slab.memory.byteLength);
    }
  });
});

describe('account', () => {
  function granted(): { slab: Slab; allocator: SlabAllocator; account: Account; held: Int32Array } {
    const allocator = new SlabAllocator(someSlab());
    const memory = new SharedArrayBuffer(accountBytes);
    const [account, held] = [new Account(memory, 0), accountWords(memory, 0)];
    return { slab: allocator.slab, allocator, account, held };
  }

  it('takes a reference off once, whoever ends a grant and however often', () => {
    const { slab, allocator, account, held } = granted();
    const block = allocator.take(1)!;
    const [first, second] = [account.grant(slab, block)!, account.grant(slab, block)!];
    slab.drop(block);
    endGrant(held, first, { slab, block });
    endGrant(held, first, { slab, block });
    assert.equal(slab.isFree(block), false);
    account.reclaim();
    assert.equal(slab.isFree(block), true);
    endGrant(held, second, { slab, block });
    account.reclaim();
    assert.equal(slab.isFree(block), true, 'not below zero');
  });

  it('grants no more than it has places for, and uses them again', () => {
    const { slab, allocator, account, held } = granted();
    const block = allocator.take(1)!;
    const places = Array.from({ length: accountSize }, () => account.grant(slab, block));
    assert.equal(new Set(places).size, accountSize);
    assert.equal(account.grant(slab, block), undefined);
    endGrant(held, places[7]!, { slab, block });
    assert.equal(account.grant(slab, block), 7);
  });
});

describe('payload heap', () => {
  it('puts bytes on its slab, and leaves what is on shared memory where it is', () => {
    const heap = new PayloadHeap(someSlab());
    const moved = heap.share(Uint8Array.of(1, 2, 3));
    assert.deepEqual([...moved], [1, 2, 3]);
    assert.notEqual(heap.blockOf(moved.buffer), undefined);
    assert.equal(heap.share(moved), moved);
    const own = new Uint8Array(new SharedArrayBuffer(4));
    assert.equal(heap.share(own), own);
    assert.equal(heap.blockOf(own.buffer), undefined);
  });

  it('goes to memory of its own, and says so, when the slab has no room', () => {
    const heap = new PayloadHeap(someSlab());
    const kept = heap.share(new Uint8Array(units * unitBytes).fill(5));
    const spilled = heap.share(new Uint8Array(100).fill(6));
    assert.ok(spilled.buffer instanceof SharedArrayBuffer);
    assert.equal(heap.blockOf(spilled.buffer), undefined);
    assert.equal(heap.spilledBytes, 100);
    assert.ok(kept.every((byte) => byte === 5) && spilled.every((byte) => byte === 6));
  });

  it('has its blocks back when nothing derived from them can be reached', async () => {
    const memory = someSlab();
    const heap = new PayloadHeap(memory);
    let view: Float32Array | undefined = new Float32Array(
      heap.allocate(units * unitBytes).buffer,
      slabDataAt(memory),
      4,
    ).subarray(1, 3);
    const settle = async (): Promise<boolean> => {
      collectShared();
      await new Promise((resolve) => setTimeout(resolve, 5));
      return new Slab(memory).isFree(0);
    };
    assert.equal(await settle(), false, 'a view of a view holds it');
    assert.equal(view.length, 2);
    view = undefined;
    while (!(await settle()));
    assert.notEqual(heap.blockOf(heap.allocate(units * unitBytes).buffer), undefined);
  });
});

function slabDataAt(memory: SharedArrayBuffer): number {
  return new Slab(memory).offsetOf(0);
}
