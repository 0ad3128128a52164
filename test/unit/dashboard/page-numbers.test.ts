import assert from 'node:assert/strict';
import {
  extended,
  extremes,
  positive,
  smoothed,
} from '../../../src/dashboard/page/charts/curves.ts';
import { unitOf } from '../../../src/dashboard/page/charts/units.ts';
import {
  bytesText,
  clockText,
  dateText,
  durationText,
  numberText,
  percentText,
} from '../../../src/dashboard/page/format.ts';
import { assertClose } from '../../support/assert-close.ts';

describe('curves of the page', () => {
  it('smooths as an average whose weights sum to one, and leaves a constant as it is', () => {
    // With weight w the first of n + 1 values has the share w^n (1 - w) / (1 - w^(n + 1)).
    const weight = 0.9;
    const expected = Array.from(
      { length: 50 },
      (_, n) => (weight ** n * (1 - weight)) / (1 - weight ** (n + 1)),
    );
    const impulse = Array.from({ length: 50 }, (_, n) => (n === 0 ? 1 : 0));
    assertClose(smoothed(impulse, weight) as number[], expected, { rtol: 1e-12, atol: 0 });
    assertClose(smoothed([3, 3, 3], 0.99) as number[], [3, 3, 3], { rtol: 1e-12, atol: 0 });
  });

  it('passes over what is no number, and leaves the line as it is without smoothing', () => {
    assert.deepEqual(smoothed([2, null, 4], 0), [2, null, 4]);
    const [first, gap, last] = smoothed([2, null, 4], 0.5);
    // (0.5 · 0.5 · 2 + 0.5 · 4) / 0.75
    assert.deepEqual([first, gap], [2, null]);
    assertClose([last!], [10 / 3], { rtol: 1e-12, atol: 0 });
    assert.deepEqual(positive([-1, 0, null, 2]), [null, null, null, 2]);
  });

  it('takes the points behind the last step alone', () => {
    const curve = { steps: [1, 2], values: [1, null], isReduced: true };
    const more = { steps: [2, 3], values: [9, 5], isReduced: false };
    assert.deepEqual(extended(curve, more), {
      steps: [1, 2, 3],
      values: [1, null, 5],
      isReduced: true,
    });
    assert.deepEqual(extended(curve, { steps: [1], values: [7], isReduced: false }), curve);
    assert.deepEqual(extremes({ steps: [4, 6, 8], values: [2, -1, null], isReduced: false }), {
      ...{ last: -1, step: 6, least: -1, most: 2 },
    });
    assert.equal(extremes({ steps: [4], values: [null], isReduced: false }), null);
  });
});

describe('numbers of the page', () => {
  it('are written with four digits, separators and powers of ten', () => {
    const texts = [0, 1, 12345, 0.61428, -0.5, 1234.56, 1.44324e-7, -2e-5, 1e12, NaN, -Infinity];
    assert.deepEqual(texts.map(numberText), [
      ...['0', '1', '12,345', '0.6143', '−0.5', '1,235', '1.44e−7', '−2e−5', '1e12', 'NaN', '−∞'],
    ]);
    assert.equal(numberText(null), '–');
    assert.equal(percentText(0.61428), '61.4 %');
  });

  it('of metrics have the unit that their names tell of', () => {
    const names = ['timing_s/gen', 'timing_per_token_ms/gen', 'perf/throughput', 'reward/overall'];
    assert.deepEqual(names.map(unitOf), ['s', 'ms/token', 'tokens/s', '']);
    const others = [
      'perf/cpu_memory_used_gb',
      'val_response_length/max',
      'prompt_length/clip_ratio',
    ];
    assert.deepEqual(others.map(unitOf), ['GiB', 'tokens', '']);
  });

  it('of times have the day unless it is today', () => {
    const noon = new Date().setHours(12, 0, 0, 0);
    assert.deepEqual([clockText(noon), dateText(noon)], ['12:00:00', '12:00']);
    const then = new Date(2020, 1, 3, 4, 5, 6).getTime();
    assert.deepEqual([clockText(then), dateText(then)], ['3 Feb, 04:05:06', '3 Feb, 04:05']);
  });

  it('have units: two of time, one of memory', () => {
    const spans = [0, 0.0081, 1.2399, 59, 60, 725, 3599.6, 3600, 86_399, 90_000, 273_600];
    assert.deepEqual(spans.map(durationText), [
      ...['0 ms', '8.1 ms', '1.24 s', '59 s', '1 min', '12 min 5 s', '60 min', '1 h'],
      ...['24 h', '1 d 1 h', '3 d 4 h'],
    ]);
    assert.equal(durationText(NaN), '–');
    const sizes = [0, 999, 1003, 1024, 1010 * 2 ** 20, 3.2 * 2 ** 30, 5 * 2 ** 50];
    assert.deepEqual(sizes.map(bytesText), [
      ...['0 B', '999 B', '0.979 KiB', '1 KiB', '0.986 GiB', '3.2 GiB', '5120 TiB'],
    ]);
  });
});
