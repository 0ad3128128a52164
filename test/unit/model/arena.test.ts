import assert from 'node:assert/strict';

import { Arena } from '../../../src/model/weights/arena.ts';
import { contentLength, dividedInto, layOut } from '../../../src/model/weights/arena-layout.ts';

const layout = layOut([
  [{ name: 'norm', shape: [3] }],
  [
    { name: 'q', shape: [5, 3] },
    { name: 'k', shape: [2, 3] },
  ],
  [{ name: 'o', shape: [3, 5] }],
]);

describe('Arena', () => {
  it('starts groups at 64 bytes and leaves nothing between the members of a group', () => {
    assert.deepEqual(
      layout.entries.map(({ name, offset }) => [name, offset]),
      [
        ['norm', 0],
        ['q', 16],
        ['k', 31],
        ['o', 48],
      ],
    );
    assert.equal(layout.length, 64);
  });

  it('is padded at the end until it divides into equal parts of whole 64 bytes', () => {
    for (const [parts, length] of [
      [1, 64],
      [2, 64],
      [3, 96],
      [5, 80],
    ] as const) {
      const divided = dividedInto(layout, parts);
      assert.deepEqual([divided.length, contentLength(divided)], [length, 64]);
      assert.equal(divided.entries, layout.entries);
      assert.deepEqual(dividedInto(divided, 1), layout);
    }
  });

  it('shows neighbours as one tensor over the same bytes', () => {
    const arena = new Arena(layout);
    arena.tensor('q').data.fill(1);
    arena.tensor('k').data.fill(2);
    const both = arena.span(['q', 'k']);
    assert.deepEqual(both.shape, [7, 3]);
    assert.deepEqual([...both.data], [...Array<number>(15).fill(1), ...Array<number>(6).fill(2)]);
    both.data[15] = 7;
    assert.equal(arena.tensor('k').data[0], 7);
    assert.deepEqual(arena.span(['q', 'k'], [21]).shape, [21]);
  });

  it('shows the parts of a whole that have a shape', () => {
    const arena = new Arena(layout);
    arena.tensor('q').data.set([...Array(15).keys()]);
    assert.deepEqual([...arena.span(['q'], [3], 4).data], [12, 13, 14]);
    for (const [shape, part] of [
      [[3], 5],
      [[4], 0],
    ] as const) {
      assert.throws(() => arena.span(['q'], shape, part), { code: 'SHAPE_MISMATCH' });
    }
  });

  it('refuses a span over a gap, out of order, or of another size', () => {
    const arena = new Arena(layout);
    assert.throws(() => arena.span(['k', 'o']), { code: 'SHAPE_MISMATCH' });
    assert.throws(() => arena.span(['k', 'q']), { code: 'SHAPE_MISMATCH' });
    assert.throws(() => arena.span(['q', 'k'], [4, 4]), { code: 'SHAPE_MISMATCH' });
    assert.throws(() => arena.tensor('v'), /no parameter v/);
  });

  it('is rebuilt from its layout and buffer after a structured clone', () => {
    const arena = new Arena(layout);
    const there = new Arena(structuredClone(arena.layout), arena.buffer);
    there.tensor('o').data[4] = 3;
    assert.equal(arena.tensor('o').data[4], 3);
    assert.throws(() => new Arena(layout, new SharedArrayBuffer(8)), { code: 'SHAPE_MISMATCH' });
  });

  it('has twins of the same layout that start at zero', () => {
    const arena = new Arena(layout);
    arena.data.fill(1);
    const twin = arena.twin();
    assert.equal(twin.layout, arena.layout);
    assert.ok(twin.data.every((value) => value === 0));
  });

  it('has a part that begins with a parameter, over the same bytes', () => {
    const arena = new Arena(layout);
    const start = arena.entry('o').offset;
    const part = arena.from(start);
    assert.deepEqual(
      part.layout.entries.map(({ name, offset }) => [name, offset]),
      [['o', 0]],
    );
    part.tensor('o').data[3] = 5;
    assert.equal(arena.tensor('o').data[3], 5);
    assert.equal(part.twin().data.length, arena.data.length - start);
    // What lies behind the start divides, whatever lies before it.
    for (const parts of [1, 2, 3]) {
      const divided = new Arena(dividedInto(layout, parts, start)).from(start);
      assert.equal(divided.data.length % (16 * parts), 0);
    }
  });
});
