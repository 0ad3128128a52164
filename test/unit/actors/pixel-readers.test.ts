import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import sharp from 'sharp';
import { pixelPool, pixelProtocol } from '../../../actors/data/pixels.ts';
import { ActorSystem } from '../../../actors/runtime/system.ts';
import {
  LocalPixels,
  type PixelReader,
  type PixelSettings,
} from '../../../src/data/pixel-reader.ts';
import type { ImageSource } from '../../../src/vision/decode.ts';
import { loadProcessor } from '../../../src/vision/processor.ts';
import { goldenPath } from '../../support/golden.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

describe('readers of pixels on threads', () => {
  it('read what one reader reads, however many there are', async () => {
    using directory = new TemporaryDirectory();
    const processor = loadProcessor(goldenPath('micro-vl'));
    const bounds = { minPixels: 3136, maxPixels: 12_544 };
    const props: PixelSettings = {
      ...{ image: processor, video: processor, frames: 'joined' },
      ...{ bounds, videoFps: 2 },
    };
    const golden = (name: string): string => goldenPath(`micro-vl-reference/images/${name}`);
    const png = readFileSync(golden('case_002_1.png'));
    // Large ones between small ones, files and bytes: what is kept of one must not show in the next.
    const sources: ImageSource[] = [
      golden('case_005_0.png'),
      png,
      golden('case_002_1.png'),
      directory.write('photograph.jpg', await sharp(png).resize(300, 200).jpeg().toBuffer()),
      directory.write('grey.png', await sharp(png).toColourspace('b-w').png().toBuffer()),
      golden('case_005_1.png'),
    ];
    const read = (reader: PixelReader): Promise<unknown> =>
      Promise.all([
        ...sources.map((source) => reader.image(source)),
        reader.video([golden('case_005_0.png'), golden('case_005_0.png')]),
        reader.image(golden('none.png')).catch((error: unknown) => String(error)),
      ]);
    const expected = await read(new LocalPixels(props));
    for (const count of [1, 3]) {
      await using system = new ActorSystem();
      const readers = await Promise.all(
        Array.from({ length: count }, (_, i) =>
          system.spawn({
            name: `pixels/${i}`,
            protocol: pixelProtocol,
            module: new URL('../../../actors/data/pixels.ts', import.meta.url),
            create: 'pixelActor',
            props,
          }),
        ),
      );
      assert.deepEqual(await read(pixelPool(readers)), expected);
    }
  });
});
