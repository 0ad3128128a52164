import assert from 'node:assert/strict';
import { pixelSettings } from '../../../src/data/sample-options.ts';
import { decodeModelConfig } from '../../../src/model/checkpoint/config-file.ts';
import { goldenJson } from '../../support/golden.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

describe('pixelSettings', () => {
  const model = decodeModelConfig(goldenJson('micro-vl/config.json'), 'config.json');
  const others = { minPixels: null, maxPixels: null, videoFps: 2 };

  for (const [name, value] of Object.entries({
    patch_size: 16,
    temporal_patch_size: 1,
    merge_size: 1,
  })) {
    it(`refuses a processor whose ${name} is not the model's`, () => {
      using directory = new TemporaryDirectory();
      directory.write('preprocessor_config.json', JSON.stringify({ [name]: value }));
      const own = name === 'patch_size' ? 14 : 2;
      assert.throws(() => pixelSettings({ model, tokenizerPath: directory.path, ...others }), {
        code: 'CHECKPOINT_INVALID',
        message: `${directory.path}: the processor of images has ${name} ${value}, but the model's config.json says ${own}`,
      });
    });
  }
});
