import assert from 'node:assert/strict';
import type { Device } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import type { Grid } from '../../src/model/batch.ts';
import { Policy } from '../../src/model/policy.ts';
import { sampleFrames } from '../../src/vision/video-frames.ts';
import { loadGoldenModel, type GoldenModel } from '../support/golden-model.ts';
import {
  assertGoldenLogProbs,
  assertGoldenVideos,
  videoSample,
  type GoldenVideos,
} from '../support/golden-video.ts';
import { goldenJson, goldenPath } from '../support/golden.ts';

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
  let device: Device;
  let model: GoldenModel;
  let policy: Policy;
  before(async () => {
    device = openDevice({ threads: 1 });
    model = await loadGoldenModel('micro-vl');
    policy = new Policy(device, model.config, model.arena, { gradientCheckpointing: false });
  });
  after(() => {
    policy[Symbol.dispose]();
    device[Symbol.dispose]();
  });

  for (const golden of cases) {
    it(`gives case ${golden.name} the same tokens, positions, pixels and log-probabilities`, async () => {
      const media = { videos: [golden.frames], fps: 2 / golden.seconds_per_grid };
      const checkpoint = goldenPath('micro-vl');
      const sample = await videoSample(model, checkpoint, `<video>${golden.text}`, media);
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
