import assert from 'node:assert/strict';
import { rejectionsOf } from '../../../src/algorithms/rejection.ts';

describe('rejectionsOf', () => {
  it('reads a list of criteria with one threshold, or with one for each', () => {
    assert.deepEqual(rejectionsOf(null, null), []);
    assert.deepEqual(rejectionsOf('token_k1, seq_max_k2', '4'), [
      { criterion: 'token_k1', lower: 0.25, upper: 4 },
      { criterion: 'seq_max_k2', lower: 0.25, upper: 4 },
    ]);
    assert.deepEqual(rejectionsOf('seq_mean_k3,token_k1', '0.1,0.5_3'), [
      { criterion: 'seq_mean_k3', lower: 10, upper: 0.1 },
      { criterion: 'token_k1', lower: 0.5, upper: 3 },
    ]);
  });

  it('names what it cannot read', () => {
    for (const [names, thresholds, message] of [
      ['token_k4', '1', /no criterion token_k4; there are token_k1, .*, seq_max_k3$/],
      ['toString', '1', /no criterion toString/],
      ['token_k1', null, /expected one threshold, or one for each of token_k1, got 0$/],
      ['token_k1,token_k2,token_k3', '1,2', /got 2$/],
      ['token_k2', '0.5_2', /expected a number above 0 for token_k2, got 0.5_2$/],
      ['token_k1', '0_2', /expected a number above 0, or two as in 0.5_2 for token_k1, got 0_2$/],
      ['seq_sum_k3', 'x', /for seq_sum_k3, got x$/],
    ] as const) {
      assert.throws(() => rejectionsOf(names, thresholds), { code: 'CONFIG_INVALID', message });
    }
  });
});
