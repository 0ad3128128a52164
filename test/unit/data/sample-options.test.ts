import assert from 'node:assert/strict';
import { pixelSettings } from '../../../src/data/sample-options.ts';
import { decodeModelConfig } from '../../../src/model/checkpoint/config-file.ts';
import { LocalPixels } from '../../../src/data/pixel-reader.ts';
import { goldenJson, goldenPath } from '../../support/golden.ts';
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

  it('reads images alone for a model whose frames stand apart, and says so of a video', async () => {
    using directory = new TemporaryDirectory();
    const processor = { patch_size: 2, image_processor_type: 'Qwen2VLImageProcessorFast' };
    directory.write('preprocessor_config.json', JSON.stringify(processor));
    const apart = decodeModelConfig(goldenJson('families/qwen3-vl/config.json'), 'config.json');
    const settings = pixelSettings({ model: apart, tokenizerPath: directory.path, ...others })!;
    assert.equal(settings.image.patchSize, 2);
    await assert.rejects(new LocalPixels(settings).video([goldenPath('pictures/none.png')]), {
      code: 'DATA_INVALID',
      message: /videos are not supported for this model.*give its frames as images/,
    });
  });
});
