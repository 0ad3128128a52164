import assert from 'node:assert/strict';
import type { RgbImage } from '../../../src/vision/decode.ts';
import { patchify } from '../../../src/vision/patchify.ts';
import { VisionProcessor } from '../../../src/vision/processor.ts';
import { assertClose } from '../../support/assert-close.ts';
import { goldenPath } from '../../support/golden.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

describe('patchify', () => {
  const layout = {
    patchSize: 1,
    temporalPatchSize: 2,
    mergeSize: 2,
    mean: [0, 0.5, 0],
    std: [1, 0.5, 1],
  } as const;

  it('orders patches by merge block and a row by channel, time, y, x', () => {
    // Red numbers the pixels; patches of one pixel make the row order visible.
    const data = Uint8Array.from({ length: 4 * 4 * 3 }, (_, i) => (i % 3 === 0 ? i / 3 : 255));
    const image: RgbImage = { width: 4, height: 4, data, isIndexed: false };
    const { pixelValues, grid } = patchify([image, image], layout);
    assert.deepEqual(grid, [1, 4, 4]);
    assert.deepEqual(pixelValues.shape, [16, 6]);
    const reds = [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15];
    assertClose(
      pixelValues.data,
      reds.flatMap((red) => [red / 255, red / 255, 1, 1, 1, 1]),
      { atol: 1e-7 },
    );
  });
});

describe('VisionProcessor', () => {
  it('reads the pixel bounds from either home, and what is absent by default', () => {
    using directory = new TemporaryDirectory();
    const newer = { size: { shortest_edge: 784, longest_edge: 7840 }, patch_size: 16 };
    directory.write('preprocessor_config.json', JSON.stringify(newer));
    const { settings } = VisionProcessor.load(directory.path);
    assert.deepEqual(
      [settings.minPixels, settings.maxPixels, settings.patchSize, settings.mergeSize],
      [784, 7840, 16, 2],
    );
    assert.equal(VisionProcessor.load(goldenPath('micro-vl')).settings.maxPixels, 50176);
  });

  it('reads the image part of a combined processor_config.json', () => {
    using directory = new TemporaryDirectory();
    const combined = {
      image_processor: { min_pixels: 1000 },
      processor_class: 'Qwen2_5_VLProcessor',
    };
    directory.write('processor_config.json', JSON.stringify(combined));
    assert.equal(VisionProcessor.load(directory.path).settings.minPixels, 1000);
  });

  it('names file and key of a bad setting, and a missing file', () => {
    using directory = new TemporaryDirectory();
    assert.throws(() => VisionProcessor.load(directory.path), {
      code: 'CHECKPOINT_INVALID',
      message: /no preprocessor_config\.json/,
    });
    const path = directory.write('preprocessor_config.json', '{"merge_size": "two"}');
    assert.throws(() => VisionProcessor.load(directory.path), {
      code: 'CHECKPOINT_INVALID',
      message: `merge_size: expected number, got "two" (${path})`,
    });
    directory.write('preprocessor_config.json', '{');
    assert.throws(() => VisionProcessor.load(directory.path), { code: 'CHECKPOINT_INVALID' });
  });
});
