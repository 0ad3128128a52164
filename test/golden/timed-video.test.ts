import assert from 'node:assert/strict';
import { Policy } from '../../src/model/policy.ts';
import { patchValues, type Grid } from '../../src/tensor/patch-levels.ts';
import { writeFrameTimes } from '../../src/text/frame-times.ts';
import { loadProcessor } from '../../src/vision/processor.ts';
import { sampleTimedFrames, timedFrameSize } from '../../src/vision/timed-frames.ts';
import { pairTimes } from '../../src/vision/video-rules.ts';
import { assertClose } from '../support/assert-close.ts';
import {
  assertGoldenLogProbs,
  assertGoldenVideos,
  timedProcessorFile,
  videoSample,
  writeTimedProcessor,
  type GoldenVideos,
  type Size,
} from '../support/golden-video.ts';
import { goldenJson } from '../support/golden.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';
import { goldenSuite } from '../support/golden-model.ts';

interface Case extends GoldenVideos {
  readonly name: string;
  readonly content: readonly { readonly type: string; readonly text?: string }[];
  readonly videos: readonly (readonly string[])[];
  readonly fps: number;
  readonly size: Size;
  readonly grids: readonly Grid[];
}

interface Golden {
  readonly cases: readonly Case[];
  readonly resized: Case;
  readonly sampling: readonly {
    readonly total: number;
    readonly fps: number;
    readonly wanted: number;
    readonly indices: readonly number[];
    readonly times: readonly string[];
  }[];
  readonly sizes: readonly {
    readonly frames: number;
    readonly height: number;
    readonly width: number;
    readonly size: Size;
    readonly resized: readonly [height: number, width: number];
  }[];
}

describe("Qwen3-VL's videos against transformers", () => {
  const golden = goldenJson('video/qwen3-vl.json') as Golden;
  const suite = goldenSuite('video/qwen3-vl');
  let policy: Policy;
  before(() => {
    const { device, model, owned } = suite;
    const options = { gradientCheckpointing: false };
    policy = owned.use(new Policy(device, model.config, model.arena, options));
  });

  const sampleOf = ({ content, size, ...media }: Case): ReturnType<typeof videoSample> => {
    using directory = new TemporaryDirectory();
    writeTimedProcessor(directory, size);
    const prompt = content.map(({ text }) => text ?? '<video>').join('');
    return videoSample(suite.model, directory.path, prompt, media);
  };

  for (const one of golden.cases) {
    it(`gives case ${one.name} the same tokens, positions, pixels and log-probabilities`, async () => {
      const sample = await sampleOf(one);
      assertGoldenVideos(sample, one.grids, one);
      await assertGoldenLogProbs(policy, sample, one);
    });
  }

  it('resizes frames to the same sizes, with levels that torchvision rounds to a neighbour at most', async () => {
    const { resized } = golden;
    const sample = await sampleOf(resized);
    assert.deepEqual(sample.grids, resized.grids);
    assert.deepEqual([...sample.tokenIds], resized.prompt_ids);
    const { data } = patchValues([sample.pixelValues!])!;
    const { at, values, sum } = resized.pixels;
    const level = 1 / 127.5;
    const found = Float32Array.from(at, (i) => data[i]!);
    assertClose(found, values, { atol: level + 1e-6 });
    const total = data.reduce((all, value) => all + value, 0);
    assertClose([total / data.length], [sum / data.length], { atol: level / 1000 });
    await assertGoldenLogProbs(policy, sample, resized);
  });

  it('takes the same frames, at the same times', () => {
    for (const { total, fps, wanted, indices, times } of golden.sampling) {
      const bounds = { minFrames: 4, maxFrames: 768 };
      const found = sampleTimedFrames(total, fps, wanted, bounds).indices;
      assert.deepEqual(found, indices, `${total} frames`);
      const text = writeFrameTimes('<|video_pad|>', [pairTimes(found, fps)]);
      assert.deepEqual(text.match(/<[\d.]+ seconds>/g), times);
    }
  });

  it('gives frames the same sizes', () => {
    for (const { frames, height, width, size, resized } of golden.sizes) {
      using directory = new TemporaryDirectory();
      directory.write('video_preprocessor_config.json', timedProcessorFile(size, 16));
      const settings = loadProcessor(directory.path, 'video');
      const open = { minPixels: null, maxPixels: null };
      const found = timedFrameSize({ width, height }, frames, settings, open);
      assert.deepEqual([found.height, found.width], resized, `${frames} of ${width}x${height}`);
    }
  });
});
