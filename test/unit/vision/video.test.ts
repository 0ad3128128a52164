import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalPixels, type PixelSettings } from '../../../src/data/pixel-reader.ts';
import { patchValues } from '../../../src/tensor/patch-levels.ts';
import type { PlainImage } from '../../../src/vision/decoded-image.ts';
import { probeVideo, readFrames } from '../../../src/vision/ffmpeg.ts';
import { Patchifier } from '../../../src/vision/patchify.ts';
import { loadProcessor } from '../../../src/vision/processor.ts';
import {
  pictureFrameSize,
  sampleFrames,
  videoFrameSize,
} from '../../../src/vision/video-frames.ts';
import { timedFrameSize } from '../../../src/vision/timed-frames.ts';
import type { PixelBounds } from '../../../src/vision/resize.ts';
import { withVariables } from '../../support/environment.ts';
import { goldenPath } from '../../support/golden.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const [width, height, total, fps] = [56, 84, 12, 4];

/** The pixel of a frame: every frame and place has a colour of its own. */
function pixel(frame: number, x: number, y: number): [number, number, number] {
  return [frame * 20, x * 4, y * 3];
}

function rawFrames(): Buffer {
  const bytes: number[] = [];
  for (let frame = 0; frame < total; frame++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) bytes.push(...pixel(frame, x, y));
    }
  }
  return Buffer.from(bytes);
}

/** Twelve frames in three seconds, without loss. */
function writeVideo(directory: TemporaryDirectory): string {
  const path = join(directory.path, 'video.mkv');
  const input = ['-f', 'rawvideo', '-pix_fmt', 'rgb24', '-s', `${width}x${height}`, '-r', `${fps}`];
  const output = ['-c:v', 'ffv1', '-pix_fmt', 'gbrp', path];
  const made = spawnSync('ffmpeg', ['-v', 'error', ...input, '-i', '-', ...output], {
    input: rawFrames(),
  });
  assert.equal(made.status, 0, String(made.stderr));
  return path;
}

function colourOf({ data }: PlainImage, x: number, y: number): number[] {
  const at = (y * width + x) * 3;
  return [...data.subarray(at, at + 3)];
}

function pixelsWith(changes: Partial<PixelSettings>): LocalPixels {
  const settings = loadProcessor(goldenPath('micro-vl'));
  const bounds = { minPixels: 3136, maxPixels: 6272 };
  return new LocalPixels({
    ...{ image: settings, video: settings, frames: 'joined', bounds, videoFps: 2 },
    ...changes,
  });
}

describe('sampleFrames', () => {
  it('takes duration times rate, at least 4, at most 768 and all there are, an even number', () => {
    const counts = (frames: number, rate: number, wanted: number): number =>
      sampleFrames(frames, rate, wanted).indices.length;
    assert.equal(counts(300, 30, 2), 20);
    assert.equal(counts(300, 30, 2.19), 20);
    assert.equal(counts(300, 30, 0.1), 4);
    assert.equal(counts(100_000, 30, 2), 768);
    assert.equal(counts(7, 30, 60), 6);
    assert.equal(counts(3, 30, 2), 2);
  });

  it('says at which rate it took them', () => {
    assert.equal(sampleFrames(300, 30, 2).fps, 2);
    assert.equal(sampleFrames(30, 30, 2).fps, 4);
  });

  it('refuses a video of one frame', () => {
    assert.throws(() => sampleFrames(1, 30, 2), { code: 'DATA_INVALID', message: /1 frame/ });
  });
});

describe('videoFrameSize', () => {
  const open = { minPixels: null, maxPixels: null };

  it('bounds frames by the limits of qwen-vl-utils, the fewer pixels the more frames there are', () => {
    // 768 and 128 tokens of 28 x 28; of 768 frames each has a share of 90,316,800 pixels for two.
    const sizeOf = (frames: number, size = { width: 1920, height: 1080 }): number[] => {
      const { width, height } = videoFrameSize(size, frames, open);
      return [width, height];
    };
    assert.deepEqual(sizeOf(4), [1008, 560]);
    assert.deepEqual(sizeOf(768), [644, 336]);
    assert.deepEqual(sizeOf(4, { width: 100, height: 100 }), [336, 336]);
  });

  it('keeps to the bounds of the data set', () => {
    const bounds = { minPixels: 3136, maxPixels: 50176 };
    assert.deepEqual(videoFrameSize({ width: 640, height: 480 }, 4, bounds), {
      width: 252,
      height: 168,
    });
    assert.deepEqual(pictureFrameSize({ width: 100, height: 60 }, open), {
      width: 112,
      height: 56,
    });
  });
});

describe('timedFrameSize', () => {
  const settings = loadProcessor(goldenPath('micro-vl'));
  const processor = { ...settings, patchSize: 16, minPixels: 4096, maxPixels: 25_165_824 };
  const sizeOf = (
    [width, height]: readonly [number, number],
    frames: number,
    bounds: PixelBounds,
  ): number[] => {
    const found = timedFrameSize({ width, height }, frames, processor, bounds);
    return [found.width, found.height];
  };

  it('enlarges frames with a side below one merged patch to it', () => {
    const open = { minPixels: null, maxPixels: null };
    assert.deepEqual(sizeOf([40, 20], 4, open), [64, 32]);
  });

  it('keeps each frame to the bounds of the data set, and all of them to those of the processor', () => {
    const small = { minPixels: null, maxPixels: 128 * 128 };
    assert.deepEqual(sizeOf([1280, 1280], 8, small), [128, 128]);
    const large = { minPixels: 512 * 512, maxPixels: 4_194_304 };
    assert.deepEqual(sizeOf([100, 100], 8, large), [512, 512]);
    // 768 frames of 181 x 181 are the processor's bound.
    assert.deepEqual(sizeOf([100, 100], 768, large), [160, 160]);
  });
});

describe('patchify of frames', () => {
  it('puts the frames of a pair behind each other and pairs one after the other', () => {
    const frame = (grey: number): PlainImage => ({
      width: 2,
      height: 2,
      mode: 'RGB',
      data: new Uint8Array(12).fill(grey),
      isIndexed: false,
    });
    const layout = {
      patchSize: 1,
      temporalPatchSize: 2,
      mergeSize: 2,
      mean: [0, 0, 0],
      std: [1, 1, 1],
    } as const;
    const { pixelValues, grid } = new Patchifier(layout).patchify([0, 51, 102, 255].map(frame));
    assert.deepEqual(grid, [2, 2, 2]);
    const rows = [...patchValues([pixelValues])!.data].map((value) => Math.round(value * 5));
    assert.deepEqual(rows.slice(0, 6), [0, 1, 0, 1, 0, 1]);
    assert.deepEqual(rows.slice(24, 30), [2, 5, 2, 5, 2, 5]);
  });
});

describe('videos by ffmpeg', function () {
  let directory: TemporaryDirectory | undefined;
  let path: string;
  before(function () {
    // .ci/run installs it.
    if (spawnSync('ffmpeg', ['-version']).error !== undefined) this.skip();
    directory = new TemporaryDirectory();
    path = writeVideo(directory);
  });
  after(() => directory?.[Symbol.dispose]());

  it('tells size, length and rate', async () => {
    assert.deepEqual(await probeVideo(path), { width, height, frames: total, fps });
  });

  it('reads the frames that are asked for', async () => {
    const frames: PlainImage[] = [];
    await readFrames(path, { width, height }, [0, 3, 11], (frame) => frames.push(frame));
    const colours = frames.map((frame) => [colourOf(frame, 0, 0), colourOf(frame, 50, 80)]);
    assert.deepEqual(
      colours,
      [0, 3, 11].map((index) => [pixel(index, 0, 0), pixel(index, 50, 80)]),
    );
  });

  it('makes patches of a file, of its bytes and of its frames', async () => {
    const fromPath = await pixelsWith({}).video(path);
    // Six frames of twelve: 2 a second for three seconds.
    assert.deepEqual([fromPath.grid, fromPath.secondsPerGrid], [[3, 6, 4], 1]);
    assert.deepEqual((await pixelsWith({}).videoGrid(path)).grid, fromPath.grid);
    assert.deepEqual((await pixelsWith({ videoFps: 1 }).video(path)).grid, [2, 6, 4]);
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith('cxmind-video-'));
    const fromBytes = await pixelsWith({}).video(readFileSync(path));
    assert.deepEqual(fromBytes.pixelValues, fromPath.pixelValues);
    const after = readdirSync(tmpdir()).filter((name) => name.startsWith('cxmind-video-'));
    assert.deepEqual(after, before, 'the temporary file is gone');
  });

  it('tells when the frames are of a file whose frames stand apart, and their number by its header', async () => {
    const pixels = pixelsWith({ frames: 'apart' });
    const { grid, times } = await pixels.video(path);
    // Frames 0, 2, 4, 7, 9 and 11 of four a second, each pair at its mean.
    assert.deepEqual(
      [grid, times],
      [
        [3, 6, 4],
        [0.25, 1.375, 2.5],
      ],
    );
    assert.deepEqual(await pixels.videoGrid(path), { grid, times });
    const frames = [0, 1, 2].map((i) => goldenPath(`video/frames/slow-${i}.png`));
    const odd = await pixels.video(frames);
    assert.deepEqual(odd.times, [0.25, 1]);
    assert.deepEqual(await pixels.videoGrid(frames), { grid: odd.grid, times: odd.times });
  });

  it('repeats the last of an odd number of pictures', async () => {
    const frames = [0, 1, 2].map((i) => goldenPath(`video/frames/slow-${i}.png`));
    const odd = await pixelsWith({}).video(frames);
    const even = await pixelsWith({}).video([...frames, frames[2]!]);
    assert.deepEqual(odd.grid, [2, 4, 4]);
    assert.deepEqual(odd.pixelValues, even.pixelValues);
    assert.deepEqual((await pixelsWith({}).videoGrid(frames)).grid, odd.grid);
  });

  it('names a video that is missing, cut short or none, and frames that do not fit', async () => {
    const rejects = (source: string | string[], message: RegExp): Promise<void> =>
      assert.rejects(pixelsWith({}).video(source), { code: 'DATA_INVALID', message });
    await rejects(join(directory!.path, 'none.mp4'), /video .*none\.mp4: no such file/);
    await rejects(directory!.write('text.mp4', 'no video'), /video .*text\.mp4: Invalid data/);
    const bytes = readFileSync(path);
    const half = directory!.write('half.mkv', bytes.subarray(0, 200));
    await rejects(half, /video .*half\.mkv: /);
    await rejects([], /a video without frames/);
    const [slow, fast] = ['slow-0', 'fast-0'].map((name) => goldenPath(`video/frames/${name}.png`));
    await rejects([slow!, fast!], /frame 2 is resized to 56x84, the first to 56x56/);
  });

  it('says how to install ffmpeg where it is missing', async () => {
    await withVariables({ PATH: directory!.path }, () =>
      assert.rejects(probeVideo(path), {
        code: 'DEVICE_MISSING',
        message: /ffprobe, which is not installed: apt-get install ffmpeg/,
      }),
    );
  });
});
