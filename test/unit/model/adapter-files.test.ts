import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { initializeAdapter, loraA, loraB } from '../../../src/model/adapters/adapter.ts';
import { adapterLayout } from '../../../src/model/adapters/model-adapters.ts';
import { loadAdapter } from '../../../src/model/checkpoint/adapter-files.ts';
import { adapterSpec } from '../../../src/model/adapters/selection.ts';
import { Arena } from '../../../src/model/weights/arena.ts';
import { readModelConfig } from '../../../src/model/checkpoint/config-file.ts';
import type { ModelConfig } from '../../../src/model/model-config.ts';
import { assertClose } from '../../support/assert-close.ts';
import { goldenPath } from '../../support/golden.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

describe('adapters', () => {
  let config: ModelConfig;
  before(async () => {
    config = await readModelConfig(goldenPath('micro-vl'));
  });

  it('begin with A uniform within 1/√in, B zero, and the same for the same seed', () => {
    const options = { rank: 16, alpha: 16, targets: 'all-linear', exclude: '.*visual.*' } as const;
    const spec = adapterSpec(config, options);
    const make = (seed: number): Arena => {
      const arena = new Arena(adapterLayout(config, spec));
      initializeAdapter({ spec, arena }, seed);
      return arena;
    };
    const arena = make(1);
    for (const module of spec.modules) {
      const { shape, data } = arena.tensor(loraA(module));
      const bound = 1 / Math.sqrt(shape[1]!);
      const variance = data.reduce((sum, value) => sum + value * value, 0) / data.length;
      assert.ok(data.every((value) => Math.abs(value) <= bound));
      // A uniform distribution within ±b has variance b²/3; 1024 draws or more are within 15 % of it.
      assert.ok(
        Math.abs(variance / (bound ** 2 / 3) - 1) < 0.15,
        `${module}: variance ${variance}`,
      );
      assert.ok(arena.tensor(loraB(module)).data.every((value) => value === 0));
    }
    assert.deepEqual(make(1).data, arena.data);
    assert.notDeepEqual(make(2).data, arena.data);
  });

  describe('in files that do not fit', () => {
    let temporary: TemporaryDirectory;
    beforeEach(() => {
      temporary = new TemporaryDirectory();
      cpSync(goldenPath('lora/some'), temporary.path, { recursive: true });
    });
    afterEach(() => temporary[Symbol.dispose]());
    const change = (changes: object): void => {
      const file = join(temporary.path, 'adapter_config.json');
      const json = JSON.parse(readFileSync(file, 'utf8')) as object;
      writeFileSync(file, JSON.stringify({ ...json, ...changes }));
    };

    it('are refused with what is not supported', async () => {
      change({ use_dora: true, bias: 'all', rank_pattern: { q_proj: 3 } });
      await assert.rejects(loadAdapter(temporary.path, config), {
        code: 'CHECKPOINT_INVALID',
        message: /not supported: bias all, only none; use_dora; rank_pattern/,
      });
    });

    it('are refused with every tensor that is wrong', async () => {
      change({ r: 3 });
      await assert.rejects(loadAdapter(temporary.path, config), {
        code: 'CHECKPOINT_INVALID',
        message: /layers\.1\.self_attn\.q_proj\.lora_A\.weight is \[2, 64\], not \[3, 64\]/,
      });
    });

    it('are scaled by the root of the rank where they say so', async () => {
      change({ use_rslora: true });
      const { spec } = await loadAdapter(temporary.path, config);
      assertClose([spec.alpha / spec.rank], [6 / Math.sqrt(2)], { rtol: 1e-12 });
    });
  });
});
