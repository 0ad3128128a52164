import assert from 'node:assert/strict';
import { keyPaths } from '../../../src/check/codec.ts';
import { documentedKeys, explainKey } from '../../../src/config/reference.ts';
import { Config } from '../../../src/config/schema.ts';

describe('the reference of config keys', () => {
  it('says a sentence about every key', () => {
    const silent = documentedKeys().filter(({ description }) => !/^\S.+\.$/.test(description));
    assert.deepEqual(
      silent.map(({ path }) => path),
      [],
    );
  });

  it('explains a key with what it takes and its default', () => {
    assert.equal(
      explainKey('worker.actor.clip_ratio_low'),
      'worker.actor.clip_ratio_low\n  The ratio is clipped below at 1 less this, of `geo_mean` its logarithm at minus this.\n' +
        '  takes number in [0, 1]; default 0.2',
    );
  });

  it('explains a section with every key in it', () => {
    const explained = explainKey('worker.actor.optim').split('\n\n');
    const keys = keyPaths(Config).filter((path) => path.startsWith('worker.actor.optim'));
    assert.deepEqual(
      explained.map((text) => text.split('\n')[0]),
      keys,
    );
  });

  it('says of a key that has no effect that it has none', () => {
    assert.equal(
      explainKey('worker.rollout.enforce_eager'),
      'worker.rollout.enforce_eager\n  Run without captured CUDA graphs.\n' +
        '  No effect here, taken for parity.\n  takes true or false; default false',
    );
  });

  it('names the nearest key for an unknown one', () => {
    assert.throws(() => explainKey('algorithm.kl_coeff'), {
      code: 'CONFIG_INVALID',
      message: 'algorithm.kl_coeff: unknown key, nearest valid key: algorithm.kl_coef',
    });
  });
});
