import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GenerationEngine } from '../../../src/generation/engine.ts';
import { loadAdapter, saveAdapter } from '../../../src/model/checkpoint/adapter-files.ts';
import { selectModules, targetsOf } from '../../../src/model/adapters/selection.ts';
import { Arena } from '../../../src/model/weights/arena.ts';
import type { Adapter } from '../../../src/model/adapters/adapter.ts';
import { mergedTensor } from '../../../src/model/adapters/merge.ts';
import { packSequences } from '../../../src/model/pack.ts';
import { Policy } from '../../../src/model/policy.ts';
import { architectureOf } from '../../../src/model/families.ts';
import { keyOf } from '../../../src/rng.ts';
import { assertClose } from '../../support/assert-close.ts';
import { FarDevice } from '../../support/far-device.ts';
import {
  goldenSequences,
  goldenSuite,
  loadGoldenModel,
  relativeError,
  type GoldenModel,
} from '../../support/golden-model.ts';
import { goldenCases, goldenJson, goldenPath, goldenTensors } from '../../support/golden.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

interface Selection {
  readonly model: string;
  readonly targets: 'all-linear' | readonly string[];
  readonly exclude: string | null;
  readonly modules: readonly string[];
}

const reference = goldenJson('lora/reference.json') as Record<
  string,
  { readonly logprobs: readonly (readonly number[])[] }
>;
const peftName = (name: string, { config }: GoldenModel): string =>
  `base_model.model.${architectureOf(config).weights.inTransformers(name)}`;

describe('low-rank adapters against peft', () => {
  const suite = goldenSuite('micro-vl');
  const sequences = goldenSequences().slice(0, 3);
  const weights = goldenCases().map((golden) => golden.weights);

  for (const { model: name, targets, exclude, modules } of goldenJson(
    'lora/selection.json',
  ) as Selection[]) {
    it(`adapts the same modules of ${name}: ${String(targets)} without ${String(exclude)}`, async () => {
      const { config } = await loadGoldenModel(name);
      const selected = selectModules(config, { targets: targetsOf(String(targets)), exclude });
      assert.deepEqual(
        selected.map((module) => architectureOf(config).weights.inTransformers(module)).sort(),
        [...modules].sort(),
      );
    });
  }

  for (const name of ['all', 'some']) {
    describe(`of ${name} modules`, () => {
      const expected = reference[name]!.logprobs;
      let adapter: Adapter;
      before(async () => {
        adapter = await loadAdapter(goldenPath(`lora/${name}`), suite.model.config);
      });

      for (const gradientCheckpointing of [false, true]) {
        const how = gradientCheckpointing ? 'recomputing blocks' : 'keeping activations';
        it(`gives the same log-probabilities, and gradients of A and B, ${how}`, async () => {
          const { config, arena } = suite.model;
          using policy = new Policy(suite.device, config, arena, {
            gradientCheckpointing,
            adapter,
          });
          const before = arena.data.slice();
          const gradients = adapter.arena.twin();
          const weighted = Float32Array.from(weights.slice(0, 3).flat());
          let logProbs: Float32Array | undefined;
          const keep = (values: Float32Array): Float32Array => {
            logProbs = values.slice();
            return weighted;
          };
          await policy.accumulateGradients(packSequences(sequences), 1, keep, gradients);
          assertClose(logProbs!, expected.flat(), { atol: 1e-4 });
          assertClose(await policy.logProbs(packSequences(sequences), 1), expected.flat(), {
            atol: 1e-4,
          });
          const wanted = goldenTensors(`lora/${name}/grads.safetensors`);
          assert.equal(gradients.layout.entries.length, wanted.size);
          for (const { name: tensor } of gradients.layout.entries) {
            const want = wanted.get(peftName(tensor, suite.model))!;
            const error = relativeError(gradients.tensor(tensor).data, want.data);
            assert.ok(error < 1e-3, `${tensor}: relative error ${error}`);
          }
          assert.deepEqual(arena.data, before);
        });
      }

      for (const hasKernels of [false, true]) {
        it(`samples with the log-probabilities that it scores, ${hasKernels ? '' : 'not '}by kernels`, async () => {
          const { config, arena } = suite.model;
          const options = { maxSequences: 4, maxPrefillTokens: 8192, bannedTokens: [] };
          using card = new FarDevice(true);
          const place = hasKernels ? card : suite.device;
          using engine = new GenerationEngine(place, config, arena, options, adapter);
          using policy = new Policy(suite.device, config, arena, {
            gradientCheckpointing: false,
            adapter,
          });
          // One response is decoded as a row, four together as columns.
          for (const count of [1, 4]) {
            const requests = sequences.slice(1, 3).map(({ prompt }, i) => ({
              prompt,
              sampling: { temperature: 1, topP: 1, topK: -1 },
              maxTokens: 6,
              stopTokens: [],
              seeds: Array.from({ length: count }, (_, j) => keyOf('lora test', i, j)),
            }));
            for (const [i, responses] of (await engine.generate(requests)).entries()) {
              for (const { tokenIds, logProbs } of responses) {
                const sequence = { prompt: requests[i]!.prompt, response: tokenIds };
                const scored = await policy.logProbs(packSequences([sequence]), 1);
                assertClose(logProbs.data, scored, { atol: 1e-4 });
              }
            }
          }
        });
      }

      it('merges into weights that give the same log-probabilities', async () => {
        const merged = new Arena(suite.model.arena.layout);
        for (const { name: tensor } of merged.layout.entries) {
          merged.tensor(tensor).data.set(mergedTensor(tensor, suite.model.arena, adapter).data);
        }
        const { config } = suite.model;
        using policy = new Policy(suite.device, config, merged, { gradientCheckpointing: false });
        assertClose(await policy.logProbs(packSequences(sequences), 1), expected.flat(), {
          atol: 1e-4,
        });
      });

      it("writes peft's own file again, bit for bit", async () => {
        using temporary = new TemporaryDirectory();
        const { config } = suite.model;
        await saveAdapter(temporary.path, adapter, { base: '../../micro-vl', config });
        const file = 'adapter_model.safetensors';
        const [ours, theirs] = [temporary.path, goldenPath(`lora/${name}`)].map((directory) =>
          readTensors(join(directory, file)),
        );
        assert.deepEqual(ours, theirs);
        const json = (directory: string): Record<string, unknown> =>
          JSON.parse(readFileSync(join(directory, 'adapter_config.json'), 'utf8')) as Record<
            string,
            unknown
          >;
        const [written, peft] = [json(temporary.path), json(goldenPath(`lora/${name}`))];
        const { target_modules, exclude_modules, ...rest } = written;
        for (const [key, value] of Object.entries(rest)) assert.deepEqual(value, peft[key], key);
        const again = selectModules(config, {
          targets: target_modules as string[],
          exclude: exclude_modules as string | null,
        });
        assert.deepEqual(again, adapter.spec.modules);
        // Nor does PEFT, which adapts convolutions as well, take more.
        const convolution = 'model.visual.patch_embed.proj';
        assert.ok((target_modules as string[]).every((end) => !convolution.endsWith(`.${end}`)));
      });
    });
  }
});

function readTensors(file: string): Map<string, string> {
  const bytes = readFileSync(file);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString('utf8', 8, start)) as Record<
    string,
    { dtype: string; shape: number[]; data_offsets: [number, number] }
  >;
  return new Map(
    Object.entries(header)
      .filter(([name]) => name !== '__metadata__')
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(
        ([
          name,
          {
            dtype,
            shape,
            data_offsets: [from, to],
          },
        ]) => [
          name,
          `${dtype} [${shape.join()}] ${bytes.subarray(start + from, start + to).toString('hex')}`,
        ],
      ),
  );
}
