import assert from 'node:assert/strict';
import type { Device } from '../../../src/device/device.ts';
import { openDevice } from '../../../src/device/open.ts';
import { PixelRows, pixelRowsGraph } from '../../../src/model/vision/pixel-rows.ts';
import { patchValues, type PatchLevels } from '../../../src/tensor/patch-levels.ts';
import { tensorOf } from '../../../src/tensor/tensor.ts';
import { loadSoftwareGpu } from '../../support/software-gpu.ts';

/** Two patches of 3 by 3 pixels in 3 channels and 2 frames, of which levels may have one that stands for all. */
function levelsOf(kept: 1 | 3, moving: 1 | 2): PatchLevels {
  const size = 2 * kept * moving * 9;
  const levels = Array.from({ length: size }, (_, i) => (i * 97 + 250) % 256);
  const values = Array.from({ length: 3 * 256 }, (_, i) => Math.sin(i));
  return {
    levels: tensorOf('u8', [2, kept, moving, 9], levels),
    values: tensorOf('f32', [3, 256], values),
    frames: 2,
  };
}

/** Row by row, channel, frame and pixel: the definition. */
function valuesOf({ levels, values, frames }: PatchLevels): number[] {
  const [count, kept, moving, area] = levels.shape as [number, number, number, number];
  const all: number[] = [];
  for (let row = 0; row < count; row++)
    for (let channel = 0; channel < 3; channel++)
      for (let frame = 0; frame < frames; frame++)
        for (let pixel = 0; pixel < area; pixel++) {
          const plane = (row * kept + (channel % kept)) * moving + (frame % moving);
          all.push(values.data[channel * 256 + levels.data[plane * area + pixel]!]!);
        }
  return all;
}

const kinds = ([1, 3] as const).flatMap((kept) =>
  ([1, 2] as const).map((moving) => levelsOf(kept, moving)),
);

describe('PixelRows', () => {
  const conforms = (name: string, open: () => Device): void => {
    it(`gives the same values to the bit on ${name}, grey and coloured, still and moving`, async () => {
      using device = open();
      using rows = new PixelRows(device);
      using workspace = device.workspace();
      for (const pixels of kinds) {
        const { shape, data } = await device.download(rows.put(pixels, workspace));
        assert.deepEqual(shape, [2, 54]);
        assert.deepEqual([...data], valuesOf(pixels));
        const values = await device.download(rows.put(patchValues([pixels])!, workspace));
        assert.deepEqual(values.data, data);
      }
    });
  };
  conforms('cpu', () => openDevice({ threads: 1 }));
  if (loadSoftwareGpu()) conforms('webgpu', () => openDevice({ device: 'webgpu', threads: 1 }));

  it('gives by its graph what the processor finds without', async () => {
    using device = openDevice({ threads: 1 });
    using workspace = device.workspace();
    for (const { levels, values, frames } of kinds) {
      const [, kept, moving, area] = levels.shape as [number, number, number, number];
      const graph = pixelRowsGraph({ kept, moving, area, channels: 3, frames });
      using program = device.compile(graph);
      const inputs = { levels: workspace.put(levels), values: workspace.put(values) };
      const { data } = await device.download(program.run(inputs, workspace)['rows']!);
      assert.deepEqual([...data], valuesOf({ levels, values, frames }));
    }
  });

  it('stands in the workspace, pass after pass in the same memory', () => {
    using device = openDevice({ threads: 1 });
    using rows = new PixelRows(device);
    using workspace = device.workspace();
    const memory = (): ArrayBufferLike => {
      workspace.reset();
      return device.host!.tensor(rows.put(kinds[0]!, workspace)).data.buffer;
    };
    assert.equal(memory(), memory());
  });
});
