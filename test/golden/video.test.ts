import assert from 'node:assert/strict';
import type { Grid } from '../../src/tensor/patch-levels.ts';
import { Policy } from '../../src/model/policy.ts';
import { sampleFrames } from '../../src/vision/video-frames.ts';
import {
  assertGoldenLogProbs,
  assertGoldenVideos,
  videoSample,
  type GoldenVideos,
} from '../support/golden-video.ts';
import { goldenJson, goldenPath } from '../support/golden.ts';
import { goldenSuite } from '../support/golden-model.ts';

interface VideoCase extends GoldenVideos {
  readonly name: string;
  readonly text: string;
  readonly frames: readonly string[];
  readonly seconds_per_grid: number;
  readonly grid: Grid;
}

interface Sampling {
  readonly total: number;
  readonly count: number;
  readonly indices: readonly number[];
}

describe('videos against transformers', () => {
  const cases = goldenJson('video/cases.json') as VideoCase[];
  const suite = goldenSuite('micro-vl');
  let policy: Policy;
  before(() => {
    const { device, model, owned } = suite;
    const options = { gradientCheckpointing: false };
    policy = owned.use(new Policy(device, model.config, model.arena, options));
  });

  for (const golden of cases) {
    it(`gives case ${golden.name} the same tokens, positions, pixels and log-probabilities`, async () => {
      const media = { videos: [golden.frames], fps: 2 / golden.seconds_per_grid };
      const checkpoint = goldenPath('micro-vl');
      const sample = await videoSample(suite.model, checkpoint, `<video>${golden.text}`, media);
      assertGoldenVideos(sample, [golden.grid], golden);
      await assertGoldenLogProbs(policy, sample, golden);
    });
  }

  it('takes the frames that torch.linspace takes', () => {
    for (const { total, count, indices } of goldenJson('video/sampling.json') as Sampling[]) {
      assert.deepEqual(sampleFrames(total, total, count + 0.5).indices, indices, `${count} of ${total}`);
    }
  });
});
