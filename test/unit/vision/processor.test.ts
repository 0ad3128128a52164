import assert from 'node:assert/strict';
import type { PlainImage } from '../../../src/vision/decoded-image.ts';
import { patchValues, stackLevels } from '../../../src/tensor/patch-levels.ts';
import { Patchifier } from '../../../src/vision/patchify.ts';
import {
  loadProcessor,
  VisionProcessor,
  type ProcessorSettings,
} from '../../../src/vision/processor.ts';
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
    const image: PlainImage = { width: 4, height: 4, mode: 'RGB', data, isIndexed: false };
    const { pixelValues, grid } = new Patchifier(layout).patchify([image, image]);
    assert.deepEqual(grid, [1, 4, 4]);
    const values = patchValues([pixelValues])!;
    assert.deepEqual(values.shape, [16, 6]);
    const reds = [0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15];
    assertClose(
      values.data,
      reds.flatMap((red) => [red / 255, red / 255, 1, 1, 1, 1]),
      { atol: 1e-7 },
    );
  });
});

describe('VisionProcessor', () => {
  it('makes of grey what it makes of the same levels in three channels, with a third of the bytes', () => {
    const [width, height] = [90, 61];
    const data = Uint8Array.from(
      { length: width * height },
      (_, i) => (i * 97 + (i >> 4) * 13) % 256,
    );
    const grey: PlainImage = { width, height, mode: 'L', data, isIndexed: false };
    const rgb: PlainImage = {
      ...grey,
      mode: 'RGB',
      data: Uint8Array.from({ length: data.length * 3 }, (_, i) => data[Math.floor(i / 3)]!),
    };
    const processor = new VisionProcessor();
    for (const isIndexed of [false, true]) {
      const [one, three] = [grey, rgb].map((image) => processor.process({ ...image, isIndexed }));
      assert.equal(one!.pixelValues.levels.data.length * 3, three!.pixelValues.levels.data.length);
      assert.deepEqual(patchValues([one!.pixelValues]), patchValues([three!.pixelValues]));
      const mixed = stackLevels([one!.pixelValues, three!.pixelValues])!;
      assert.deepEqual(patchValues([mixed]), patchValues([three!.pixelValues, three!.pixelValues]));
    }
  });

  it('keeps frames apart that differ, and one of those that are alike', () => {
    const frame = (level: number): PlainImage => ({
      width: 56,
      height: 56,
      mode: 'L',
      data: new Uint8Array(56 * 56).fill(level),
      isIndexed: false,
    });
    const processor = new VisionProcessor();
    const [first, second] = [frame(0), frame(255)];
    assert.deepEqual(
      processor.processFrames([first, second]).pixelValues.levels.shape,
      [16, 1, 2, 196],
    );
    assert.deepEqual(
      processor.processFrames([first, first]).pixelValues.levels.shape,
      [16, 1, 1, 196],
    );
    const data = new Uint8Array(56 * 56 * 3).fill(255);
    const rgb: PlainImage = { ...second, mode: 'RGB', data };
    const [grey, mixed] = [
      [first, second],
      [first, rgb],
    ].map((frames) => patchValues([processor.processFrames(frames).pixelValues]));
    assert.deepEqual(grey, mixed);
  });

  it('reads the pixel bounds from either home, and what is absent by default', () => {
    using directory = new TemporaryDirectory();
    const newer = { size: { shortest_edge: 784, longest_edge: 7840 }, patch_size: 16 };
    directory.write('preprocessor_config.json', JSON.stringify(newer));
    const settings = loadProcessor(directory.path);
    assert.deepEqual(
      [settings.minPixels, settings.maxPixels, settings.patchSize, settings.mergeSize],
      [784, 7840, 16, 2],
    );
    assert.equal(loadProcessor(goldenPath('micro-vl')).maxPixels, 50176);
  });

  it('reads the image part of a combined processor_config.json', () => {
    using directory = new TemporaryDirectory();
    const combined = {
      image_processor: { min_pixels: 1000 },
      processor_class: 'Qwen2_5_VLProcessor',
    };
    directory.write('processor_config.json', JSON.stringify(combined));
    assert.equal(loadProcessor(directory.path).minPixels, 1000);
  });

  const refused: readonly [string, unknown, string][] = [
    ['do_resize', false, 'do_resize false is not supported, only true'],
    ['do_rescale', false, 'do_rescale false is not supported, only true'],
    ['do_normalize', false, 'do_normalize false is not supported, only true'],
    ['do_convert_rgb', false, 'do_convert_rgb false is not supported, only true'],
    ['do_center_crop', true, 'do_center_crop true is not supported, only false'],
    ['do_pad', true, 'do_pad true is not supported, only false'],
    ['resample', 2, 'resample 2 is not supported, only 3'],
    ['rescale_factor', 1 / 127.5, `rescale_factor ${1 / 127.5} is not supported, only ${1 / 255}`],
    ['size', { height: 224 }, 'size.height is not supported, only shortest_edge and longest_edge'],
  ];
  for (const [key, value, message] of refused) {
    it(`refuses another ${key}, which it would not follow`, () => {
      using directory = new TemporaryDirectory();
      for (const settings of [{ [key]: value }, { image_processor: { [key]: value } }]) {
        const path = directory.write('preprocessor_config.json', JSON.stringify(settings));
        const error = { code: 'CHECKPOINT_INVALID', message: `${path}: ${message}` };
        assert.throws(() => loadProcessor(directory.path), error);
      }
    });
  }

  it('refuses the processor of another model, and takes all forms of its own', () => {
    using directory = new TemporaryDirectory();
    const load = (type: string): ProcessorSettings => {
      directory.write('preprocessor_config.json', JSON.stringify({ image_processor_type: type }));
      return loadProcessor(directory.path);
    };
    assert.throws(
      () => load('CLIPImageProcessor'),
      /image_processor_type "CLIPImageProcessor" is not/,
    );
    const own = ['', 'Fast', 'Pil'].map((form) => `Qwen2VLImageProcessor${form}`);
    for (const type of [...own, 'Qwen2_5_VLImageProcessor']) load(type);
  });

  it('names file and key of a bad setting, and a missing file', () => {
    using directory = new TemporaryDirectory();
    assert.throws(() => loadProcessor(directory.path), {
      code: 'CHECKPOINT_INVALID',
      message: /no preprocessor_config\.json/,
    });
    const path = directory.write('preprocessor_config.json', '{"merge_size": "two"}');
    assert.throws(() => loadProcessor(directory.path), {
      code: 'CHECKPOINT_INVALID',
      message: `${path}: merge_size: expected number, got "two"`,
    });
    directory.write('preprocessor_config.json', '{');
    assert.throws(() => loadProcessor(directory.path), { code: 'CHECKPOINT_INVALID' });
  });
});
