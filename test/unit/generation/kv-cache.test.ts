import assert from 'node:assert/strict';
import { KvCache, type LayerKeysValues } from '../../../src/generation/kv-cache.ts';

const shape = { layers: 2, slots: 3, kvHeads: 2, capacity: 4, headDim: 3 };

/** A prompt whose every number tells layer, token, head and place, negative for values. */
function prompt(tag: number, tokens: number): LayerKeysValues[] {
  return [0, 1].map((layer) => {
    const key = new Float32Array(tokens * 6);
    for (let t = 0; t < tokens; t++) {
      for (let i = 0; i < 6; i++)
        key[t * 6 + i] = numberOf(tag, layer, t, Math.floor(i / 3), i % 3);
    }
    return { key, value: key.map((x) => -x) };
  });
}

function numberOf(tag: number, layer: number, token: number, head: number, i: number): number {
  return tag * 10_000 + layer * 1000 + token * 100 + head * 10 + i + 1;
}

/** Asserts that a slot holds the prompt's first tokens, and zeros after them. */
function assertHolds(cache: KvCache, slot: number, tag: number, tokens: number): void {
  for (let layer = 0; layer < 2; layer++) {
    const keys = cache.keys(layer, 3).data;
    const values = cache.values(layer, 3).data;
    for (let head = 0; head < 2; head++) {
      for (let t = 0; t < 4; t++) {
        for (let i = 0; i < 3; i++) {
          const at = ((slot * 2 + head) * 4 + t) * 3 + i;
          const expected = t < tokens ? numberOf(tag, layer, t, head, i) : 0;
          assert.equal(keys[at], expected);
          assert.equal(values[at], t < tokens ? -expected : 0);
        }
      }
    }
  }
}

describe('KvCache', () => {
  it('writes a prompt to its slot head by head and leaves the others alone', () => {
    const cache = new KvCache(shape);
    cache.write(1, prompt(7, 3), 3);
    assertHolds(cache, 0, 0, 0);
    assertHolds(cache, 1, 7, 3);
    assertHolds(cache, 2, 0, 0);
  });

  it('moves the tokens of a slot, of every layer, keys and values', () => {
    const cache = new KvCache(shape);
    cache.write(0, prompt(1, 2), 2);
    cache.write(2, prompt(5, 4), 4);
    cache.move(2, 0, 4);
    assertHolds(cache, 0, 5, 4);
    assertHolds(cache, 2, 5, 4);
  });

  it('shows the first slots without copying', () => {
    const cache = new KvCache(shape);
    const two = cache.keys(1, 2);
    assert.deepEqual(two.shape, [2, 2, 4, 3]);
    two.data[0] = 42;
    assert.equal(cache.keys(1, 3).data[0], 42);
    assert.equal(cache.values(1, 3).data[0], 0);
  });
});
