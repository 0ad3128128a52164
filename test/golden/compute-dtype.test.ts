import assert from 'node:assert/strict';
import type { Device } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import { GenerationEngine } from '../../src/generation/engine.ts';
import { Arena } from '../../src/model/weights/arena.ts';
import { packSequences } from '../../src/model/pack.ts';
import { Policy } from '../../src/model/policy.ts';
import type { OptimizerName } from '../../src/config/model-schema.ts';
import type { FloatDType } from '../../src/tensor/dtype.ts';
import { writeFloats } from '../../src/tensor/numbers.ts';
import { alone } from '../../src/training/learner-group.ts';
import { Optimization } from '../../src/training/optimization.ts';
import {
  goldenSequences,
  goldenTexts,
  loadGoldenModel,
  relativeError,
  type GoldenModel,
} from '../support/golden-model.ts';
import { goldenCases, goldenJson, goldenTensors } from '../support/golden.ts';

/** Errors of the model in torch's bf16, of another order of roundings than ours. */
interface TorchErrors {
  readonly logProbs: number;
  readonly gradients: Readonly<Record<string, number>>;
}

/** Bound of our errors, as a multiple of torch's. */
const SHARE = 1.2;
/** The unit roundoff of f16 is an eighth of that of bf16. */
const ofTorch = { bf16: SHARE, f16: SHARE / 8 } as const;

function workingCopy<D extends FloatDType>({ arena }: GoldenModel, dtype: D): Arena<D> {
  const copy = new Arena(arena.layout, undefined, dtype);
  writeFloats(copy.flat, 0, arena.data);
  return copy;
}

const rootMeanSquare = (values: readonly number[]): number =>
  Math.hypot(...values) / Math.sqrt(values.length);

describe('the model in half precision', () => {
  const torch = goldenJson('bf16/errors.json') as TorchErrors;
  let device: Device;
  before(() => (device = openDevice({ threads: 1 })));
  after(() => device[Symbol.dispose]());

  for (const dtype of ['bf16', 'f16'] as const) {
    it(`is as near to float32 in ${dtype} as torch’s bf16 lets expect, gradients too`, async () => {
      const model = await loadGoldenModel('micro-vl');
      const cases = goldenCases();
      const batch = packSequences(goldenSequences());
      using policy = new Policy(device, model.config, workingCopy(model, dtype), {
        gradientCheckpointing: false,
      });
      const expected = cases.flatMap(({ logprobs }) => logprobs);
      const logProbs = await policy.logProbs(batch, 1);
      const error = rootMeanSquare([...logProbs].map((value, i) => value - expected[i]!));
      assert.ok(error > 0 && error <= ofTorch[dtype] * torch.logProbs, `${error} nats`);

      const gradients = model.arena.twin();
      const weights = Float32Array.from(cases.flatMap((golden) => golden.weights));
      await policy.accumulateGradients(batch, 1, () => weights, gradients);
      const wanted = goldenTensors('micro-vl-reference/grads.safetensors');
      const { entries } = gradients.layout;
      const errors = entries.map(({ name }) =>
        relativeError(gradients.tensor(name).data, wanted.get(name)!.data),
      );
      const theirs = entries.map(({ name }) => torch.gradients[name]!);
      const [own, bound] = [rootMeanSquare(errors), ofTorch[dtype] * rootMeanSquare(theirs)];
      assert.ok(own > 0 && own <= bound, `gradients are off by ${own}, ${bound} allowed`);
    });
  }

  describe('of text alone', () => {
    const sequences = goldenTexts().map(({ sequence }) => sequence);

    it('gives a response the log-probabilities that it was generated with', async () => {
      const model = await loadGoldenModel('micro-text');
      const working = workingCopy(model, 'bf16');
      using policy = new Policy(device, model.config, working, { gradientCheckpointing: false });
      using engine = new GenerationEngine(device, model.config, working, {
        maxSequences: 3,
        maxPrefillTokens: 20,
        bannedTokens: [],
      });
      // Twice: the second time the cache and the programs are there already.
      for (const round of [0, 1]) {
        const responses = await engine.generate(
          sequences.map(({ prompt }, i) => ({
            prompt,
            sampling: { temperature: 1, topP: 1, topK: -1 },
            maxTokens: 16,
            stopTokens: [0],
            seeds: [[round, i]],
          })),
        );
        const scored = await policy.logProbs(
          packSequences(
            sequences.map(({ prompt }, i) => ({ prompt, response: responses[i]![0]!.tokenIds })),
          ),
          1,
        );
        const generated = responses.flatMap(([response]) => [...response!.logProbs.data]);
        const error = rootMeanSquare([...scored].map((value, i) => value - generated[i]!));
        assert.ok(error < torch.logProbs, `${error} nats`);
      }
    });

    for (const strategy of ['adamw', 'adamw_bf16'] satisfies OptimizerName[]) {
      it(`learns its responses by ${strategy}, on a copy that every step refreshes`, async () => {
        const model = await loadGoldenModel('micro-text');
        const working = workingCopy(model, 'bf16');
        const options = { betas: [0.9, 0.999], weightDecay: 0, maxGradNorm: 1, strategy } as const;
        const sharing = { group: alone, sharesWeights: true };
        using policy = new Policy(device, model.config, working, { gradientCheckpointing: true });
        using optimization = new Optimization(device, model.arena, options, sharing, working);
        const batch = packSequences(sequences);
        const losses: number[] = [];
        for (let step = 0; step < 6; step++) {
          optimization.clearGradients();
          const lossGradient = (logProbs: Float32Array): Float32Array => {
            losses.push(-logProbs.reduce((sum, value) => sum + value, 0) / logProbs.length);
            return logProbs.map(() => -1 / logProbs.length);
          };
          await policy.accumulateGradients(batch, 1, lossGradient, optimization.gradients);
          assert.ok(Number.isFinite(await optimization.step(1e-3)));
          assert.deepEqual(working.data, workingCopy(model, 'bf16').data);
        }
        for (const [i, loss] of losses.entries()) {
          assert.ok(i === 0 || loss < losses[i - 1]!, losses.join(', '));
        }
      });
    }
  });
});
