import assert from 'node:assert/strict';
import { DEFAULT_KEYS } from '../../src/data/row.ts';
import { sampleOptions } from '../../src/data/sample-options.ts';
import { SampleBuilder } from '../../src/data/sample.ts';
import { packSequences, type SequenceInput } from '../../src/model/pack.ts';
import { Policy } from '../../src/model/policy.ts';
import { mropePositions } from '../../src/model/position-ids.ts';
import type { Device } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import { patchValues } from '../../src/tensor/patch-levels.ts';
import { sampleFrames } from '../../src/vision/video-frames.ts';
import { assertClose } from '../support/assert-close.ts';
import { loadGoldenModel, tokens, type GoldenModel } from '../support/golden-model.ts';
import { goldenJson, goldenPath } from '../support/golden.ts';

interface VideoCase {
  readonly name: string;
  readonly text: string;
  readonly frames: readonly string[];
  readonly seconds_per_grid: number;
  readonly grid: readonly [number, number, number];
  readonly prompt_ids: readonly number[];
  readonly response_ids: readonly number[];
  readonly positions: readonly (readonly number[])[];
  readonly logprobs: readonly number[];
  readonly pixels: {
    readonly shape: readonly number[];
    readonly sum: number;
    readonly sum_sq: number;
    readonly at: readonly number[];
    readonly values: readonly number[];
  };
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
      const { frames, text, pixels, response_ids } = golden;
      const checkpoint = goldenPath('micro-vl');
      const builder = new SampleBuilder(
        sampleOptions({
          ...DEFAULT_KEYS,
          model: model.config,
          tokenizerPath: checkpoint,
          imageDir: goldenPath('video'),
          formatPrompt: null,
          overrideChatTemplate: null,
          minPixels: null,
          maxPixels: null,
          videoFps: 2 / golden.seconds_per_grid,
          limitImages: 0,
          maxPromptLength: 200,
          maxResponseLength: 40,
        }),
      );
      const sample = await builder.build({
        file: 'cases.json',
        name: 'cases.json',
        line: 1,
        prompt: `<video>${text}`,
        answer: '',
        images: null,
        videos: [frames],
        history: [],
        fields: {},
      });
      const prompt = golden.prompt_ids.length;
      assert.deepEqual([...sample.tokenIds], golden.prompt_ids);
      assert.deepEqual(sample.grids, [golden.grid]);
      assert.deepEqual(
        [...sample.positions.data],
        golden.positions.flatMap((row) => row.slice(0, prompt)),
      );
      const { shape, data } = patchValues([sample.pixelValues!])!;
      assert.deepEqual(shape, pixels.shape);
      assertClose(Float32Array.from(pixels.at, (i) => data[i]!), pixels.values, { atol: 1e-6 });
      const sums = data.reduce(([sum, square], x) => [sum! + x, square! + x * x] as const, [0, 0] as readonly number[]);
      assertClose(sums, [pixels.sum, pixels.sum_sq], { rtol: 1e-6 });

      const sequence: SequenceInput = {
        prompt: { ...sample, tokenIds: tokens([...sample.tokenIds]) },
        response: tokens([...response_ids]),
      };
      assertClose(await policy.logProbs(packSequences([sequence]), 1), golden.logprobs, { atol: 1e-4 });
    });
  }

  it('takes the frames that torch.linspace takes', () => {
    for (const { total, count, indices } of goldenJson('video/sampling.json') as Sampling[]) {
      assert.deepEqual(sampleFrames(total, total, count + 0.5).indices, indices, `${count} of ${total}`);
    }
  });

  it('places videos as the check values of the specification say', () => {
    const ids = [1, 98, ...Array<number>(8).fill(101), 99, 7];
    const rowsAt = (videoSecondsPerGrid?: number[]): string[] => {
      const { positions } = mropePositions(ids, {
        imageTokenId: 100,
        videoTokenId: 101,
        imageGrids: [],
        videoGrids: [[2, 4, 4]],
        ...(videoSecondsPerGrid && { videoSecondsPerGrid }),
      });
      return [0, 1, 2].map((row) => positions.data.subarray(row * 12, row * 12 + 12).join(' '));
    };
    assert.deepEqual(rowsAt(), [
      '0 1 2 2 2 2 4 4 4 4 5 6',
      '0 1 2 2 3 3 2 2 3 3 5 6',
      '0 1 2 3 2 3 2 3 2 3 5 6',
    ]);
    assert.deepEqual(rowsAt([0.5]), [
      '0 1 2 2 2 2 3 3 3 3 4 5',
      '0 1 2 2 3 3 2 2 3 3 4 5',
      '0 1 2 3 2 3 2 3 2 3 4 5',
    ]);
  });
});
