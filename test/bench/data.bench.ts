import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { PixelPool, pixelProtocol } from '../../actors/data/pixels.ts';
import { ActorSystem } from '../../actors/runtime/system.ts';
import type { PixelSettings } from '../../src/data/pixels.ts';
import { encodePng } from '../../src/vision/encode-png.ts';
import { VisionProcessor } from '../../src/vision/processor.ts';
import { compare, now } from './harness.ts';
import { Peer } from './peer.ts';

const SIDE = 512;
const PICTURES = 64;

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
  return encodePng({ width: SIDE, height: SIDE, data });
}

/** Pictures a second from PNG files to normalised patches, on as many threads as there are cores. */
export async function benchData(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'cxmind-bench-'));
  try {
    const paths: string[] = [];
    for (let i = 0; i < PICTURES; i++) {
      const path = join(folder, `${i}.png`);
      writeFileSync(path, await picture(i));
      paths.push(path);
    }
    const workers = availableParallelism();
    await using system = new ActorSystem();
    const defaults = new VisionProcessor().settings;
    const processor = { ...defaults, maxPixels: 12845056 };
    const bounds = { minPixels: 262144, maxPixels: 4194304 };
    const settings: PixelSettings = { image: processor, video: processor, bounds, videoFps: 2 };
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
    const pool = new PixelPool(actors);
    await using peer = Peer.start('PIL + transformers', 'data.py', { paths, workers });
    await compare(
      { name: 'data', params: { side: SIDE, pictures: PICTURES, workers }, unit: 'pictures/s' },
      async () => {
        const start = now();
        const read = await Promise.all(paths.map((path) => pool.image(path)));
        if (read.some(({ grid }) => grid.join() !== '1,36,36')) throw new Error('wrong grid');
        return { png: PICTURES / (now() - start) };
      },
      peer,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
