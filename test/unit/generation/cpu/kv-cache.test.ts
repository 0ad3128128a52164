import assert from 'node:assert/strict';
import { KvCache, type PromptKeysValues } from '../../../../src/generation/cpu/kv-cache.ts';

const shape = { layers: 2, slots: 3, kvHeads: 2, capacity: 70, headDim: 3 };
/** An empty position's bias, which the scale of scores makes -40. */
const EMPTY = Math.fround(-40 * Math.sqrt(3));

/** A prompt whose every number tells layer, token, head and place, negative for values. */
function prompt(tag: number, tokens: number): PromptKeysValues[] {
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
  return tag * 100_000 + layer * 10_000 + token * 100 + head * 10 + i + 1;
}

/** Asserts that a slot holds a prompt's first tokens, and the first one's key, biased, after them. */
function assertHolds(cache: KvCache, slot: number, tag: number, tokens: number): void {
  for (let layer = 0; layer < 2; layer++) {
    const keys = cache.keys(layer, 3).data;
    const values = cache.values(layer, 3).data;
    for (let head = 0; head < 2; head++) {
      for (let t = 0; t < cache.length; t++) {
        const row = (slot * 2 + head) * cache.length + t;
        const token = t < tokens ? t : 0;
        const expected = [0, 1, 2].map((i) => numberOf(tag, layer, token, head, i));
        const key = [...keys.subarray(row * 4, row * 4 + 4)];
        assert.deepEqual(key, [...expected, t < tokens ? 0 : EMPTY], `position ${t}`);
        if (t >= tokens) continue;
        const value = [...values.subarray(row * 3, row * 3 + 3)];
        assert.deepEqual(
          value,
          expected.map((x) => -x),
        );
      }
    }
  }
}

describe('KvCache', () => {
  it('writes a prompt head by head, and its first key wherever it has no token', () => {
    const cache = new KvCache(shape);
    cache.write(0, prompt(7, 3), 3);
    assertHolds(cache, 0, 7, 3);
  });

  it('keeps what every slot holds when a longer prompt makes it grow', () => {
    const cache = new KvCache(shape);
    cache.write(0, prompt(1, 2), 2);
    cache.write(1, prompt(2, 5), 5);
    const before = cache.length;
    cache.write(2, prompt(3, before + 1), before + 1);
    assert.ok(cache.length > before);
    assertHolds(cache, 0, 1, 2);
    assertHolds(cache, 1, 2, 5);
    assertHolds(cache, 2, 3, before + 1);
  });

  it('grows to its capacity and no further', () => {
    const cache = new KvCache(shape);
    cache.write(0, prompt(4, 60), 60);
    cache.fit(70, 1);
    assert.equal(cache.length, 70);
    assertHolds(cache, 0, 4, 60);
  });

  it('shrinks where half of it would be empty, and keeps what the slots hold', () => {
    const cache = new KvCache(shape);
    cache.write(0, prompt(1, 2), 2);
    cache.write(1, prompt(2, 31), 31);
    cache.write(2, prompt(3, 70), 70);
    cache.fit(36, 2);
    assert.equal(cache.length, 70);
    cache.fit(31, 2);
    assert.equal(cache.length, 32);
    assertHolds(cache, 0, 1, 2);
    assertHolds(cache, 1, 2, 31);
    cache.fit(33, 2);
    assert.equal(cache.length, 64);
    assertHolds(cache, 0, 1, 2);
    assertHolds(cache, 1, 2, 31);
  });

  it('appends one token to each of the first slots, where each ends', () => {
    const cache = new KvCache(shape);
    cache.write(0, prompt(1, 2), 2);
    cache.write(1, prompt(2, 4), 4);
    const ends = [2, 4];
    for (const layer of [0, 1]) {
      const put =
        (sign: number) =>
        (slot: number, head: number, target: Float32Array, at: number): void => {
          for (let i = 0; i < 3; i++) {
            target[at + i] = sign * numberOf(slot + 1, layer, ends[slot]!, head, i);
          }
        };
      cache.append(layer, { putKey: put(1), putValue: put(-1) }, ends);
    }
    assertHolds(cache, 0, 1, 3);
    assertHolds(cache, 1, 2, 5);
  });

  it('moves a slot, of every layer, keys and values', () => {
    const cache = new KvCache(shape);
    cache.write(0, prompt(1, 2), 2);
    cache.write(1, prompt(5, 4), 4);
    cache.move(1, 0);
    assertHolds(cache, 0, 5, 4);
    assertHolds(cache, 1, 5, 4);
  });

  it('shows the first slots without copying, up to the length of the longest', () => {
    const cache = new KvCache(shape);
    cache.write(0, prompt(1, 2), 2);
    const two = cache.keys(1, 2);
    assert.deepEqual(two.shape, [4, cache.length, 4]);
    two.data[0] = 42;
    assert.equal(cache.keys(1, 3).data[0], 42);
  });

  it('begins anew when cleared', () => {
    const cache = new KvCache(shape);
    cache.write(0, prompt(1, 60), 60);
    cache.clear();
    cache.write(0, prompt(2, 3), 3);
    assert.ok(cache.length < 60);
    assertHolds(cache, 0, 2, 3);
  });
});
