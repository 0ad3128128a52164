import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { pixelPool, pixelProtocol } from '../../actors/data/pixels.ts';
import { ActorSystem } from '../../actors/runtime/system.ts';
import { drawChest } from '../../src/demo/draw.ts';
import type { PixelReader, PixelSettings } from '../../src/data/pixel-reader.ts';
import { keyOf, Rng } from '../../src/rng.ts';
import { viewOf } from '../../src/tensor/dtype.ts';
import { sharedBuffer } from '../../src/tensor/memory.ts';
import { patchValues } from '../../src/tensor/patch-levels.ts';
import { sizeOf, type Allocate } from '../../src/tensor/tensor.ts';
import { VisionProcessor } from '../../src/vision/processor.ts';
import { compare, now } from './harness.ts';
import { Peer } from './peer.ts';

const SIDE = 512;
const PICTURES = 64;

const processor = { ...new VisionProcessor().settings, maxPixels: 12845056 };
const settings: PixelSettings = {
  image: processor,
  video: processor,
  frames: 'joined',
  bounds: { minPixels: 262144, maxPixels: 4194304 },
  videoFps: 2,
};

/** A PNG file as most programs write it: each row after the filter that suits it best. */
function encoded(data: Uint8Array, channels: 1 | 3): Promise<Uint8Array> {
  return sharp(data, { raw: { width: SIDE, height: SIDE, channels } })
    .toColourspace(channels === 1 ? 'b-w' : 'srgb')
    .png({ adaptiveFiltering: true })
    .toBuffer();
}

/** A picture with edges, gradients and noise, so that it packs and decodes like a photograph of sorts. */
function picture(seed: number): Promise<Uint8Array> {
  const data = new Uint8Array(SIDE * SIDE * 3);
  let state = seed + 1;
  for (let i = 0; i < data.length; i++) {
    const [x, y] = [Math.floor(i / 3) % SIDE, Math.floor(i / 3 / SIDE)];
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const edge = (x ^ y) & 64 ? 60 : 0;
    data[i] = ((x + y * 2 + i * (seed % 3)) % 160) + edge + (state >>> 28);
  }
  return encoded(data, 3);
}

/** Radiograph as most are: grey, with a few bits of noise. */
function radiograph(seed: number): Promise<Uint8Array> {
  return encoded(
    drawRadiograph(seed).filter((_, i) => i % 3 === 0),
    1,
  );
}

/** Radiograph in three channels, as data sets made for models of coloured pictures have it. */
function radiographRgb(seed: number): Promise<Uint8Array> {
  return encoded(drawRadiograph(seed), 3);
}

function drawRadiograph(seed: number): Uint8Array {
  return drawChest(['left_effusion'], SIDE, new Rng(keyOf('radiograph', seed))).data;
}

const kinds = { rgb: picture, radiographRgb, grey: radiograph };

/** Pictures a second from PNG files to normalised patches, on as many threads as there are cores. */
export async function benchData(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'cxmind-bench-'));
  try {
    await using system = new ActorSystem();
    const workers = availableParallelism();
    const actors = await Promise.all(
      Array.from({ length: workers }, (_, i) =>
        system.spawn({
          name: `pixels/${i}`,
          protocol: pixelProtocol,
          module: new URL('../../actors/data/pixels.ts', import.meta.url),
          create: 'pixelActor',
          props: settings,
        }),
      ),
    );
    const pool = pixelPool(actors);
    for (const [kind, draw] of Object.entries(kinds)) {
      const paths: string[] = [];
      for (let i = 0; i < PICTURES; i++) {
        const path = join(folder, `${kind}-${i}.png`);
        writeFileSync(path, await draw(i));
        paths.push(path);
      }
      await using peer = Peer.start('PIL + transformers', 'data.py', { paths, workers });
      await compare(
        {
          name: 'data',
          params: { kind, side: SIDE, pictures: PICTURES, workers },
          unit: 'pictures/s',
        },
        () => readAll(pool, paths),
        peer,
      );
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/**
 * Pictures a second, values looked up as each arrives, in memory used again, as by a model that takes them; by the
 * clock, and by the processor time of all threads, as if no other program wanted the cores.
 */
async function readAll(
  pool: PixelReader,
  paths: readonly string[],
): Promise<{ png: number; pngByProcessorTime: number }> {
  const memory = sharedBuffer(4 * 1296 * 1176);
  const allocate: Allocate = (dtype, shape) => ({
    ...{ dtype, shape },
    data: viewOf(dtype, memory, 0, sizeOf(shape)),
  });
  const [start, before] = [now(), process.cpuUsage()];
  await Promise.all(
    paths.map(async (path) => {
      const { pixelValues, grid } = await pool.image(path);
      const values = patchValues([pixelValues], allocate)!;
      if (grid.join() !== '1,36,36') throw new Error('wrong grid');
      if (Number.isNaN(values.data.at(-1))) throw new Error('no values');
    }),
  );
  const seconds = now() - start;
  const { user, system } = process.cpuUsage(before);
  const byProcessor = (paths.length * availableParallelism() * 1e6) / (user + system);
  return { png: paths.length / seconds, pngByProcessorTime: byProcessor };
}
