import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Arena } from '../../src/model/weights/arena.ts';
import { packSequences, type SequenceInput } from '../../src/model/pack.ts';
import type { ModelConfig } from '../../src/model/model-config.ts';
import { readSafetensors } from '../../src/model/checkpoint/safetensors.ts';
import {
  loadValueCheckpoint,
  saveValueCheckpoint,
} from '../../src/model/checkpoint/value-checkpoint.ts';
import { Network } from '../../src/model/network.ts';
import type { Device } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import { assertClose } from '../support/assert-close.ts';
import { goldenSequences, goldenTexts } from '../support/golden-model.ts';
import { goldenCases, goldenJson, goldenPath } from '../support/golden.ts';
import { TemporaryDirectory } from '../support/temporary-directory.ts';

interface Golden {
  readonly score: { readonly weight: readonly number[]; readonly bias: number };
  /** Values of every response token, case by case. */
  readonly values: readonly (readonly number[])[];
  /** Norm and some elements of the gradient of Σ value · weight. */
  readonly gradients: Readonly<
    Record<string, { readonly norm: number; readonly at: number[]; readonly values: number[] }>
  >;
}

type Weighted = readonly { readonly sequence: SequenceInput; readonly weights: readonly number[] }[];

const golden = goldenJson('value-models/cases.json') as Readonly<Record<string, Golden>>;
const sequences = goldenSequences();
const models: Readonly<Record<string, Weighted>> = {
  'micro-text': goldenTexts(),
  'micro-vl': goldenCases().map(({ weights }, i) => ({ sequence: sequences[i]!, weights })),
};

async function goldenCritic(name: string): Promise<{ config: ModelConfig; arena: Arena }> {
  const model = await loadValueCheckpoint(goldenPath(name), { seed: 1 });
  model.arena.tensor('score.weight').data.set(golden[name]!.score.weight);
  model.arena.tensor('score.bias').data.set([golden[name]!.score.bias]);
  return model;
}

describe('a value model against transformers', () => {
  let device: Device;
  before(() => (device = openDevice({ threads: 1 })));
  after(() => device[Symbol.dispose]());

  for (const [name, cases] of Object.entries(models)) {
    const batch = packSequences(cases.map(({ sequence }) => sequence));
    const expected = golden[name]!;

    it(`gives the response tokens of ${name} the same values, alone and packed`, async () => {
      const { config, arena } = await goldenCritic(name);
      using model = new Network(device, config, arena, 'value', { gradientCheckpointing: false });
      assertClose(await model.scores(batch), expected.values.flat(), { atol: 1e-4 });
      const alone = await model.scores(packSequences([cases[0]!.sequence]));
      assertClose(alone, expected.values[0]!, { atol: 1e-4 });
    });

    for (const gradientCheckpointing of [false, true]) {
      const how = gradientCheckpointing ? 'recomputing blocks' : 'keeping activations';
      it(`gives every parameter of ${name} the same gradient, ${how}`, async () => {
        const { config, arena } = await goldenCritic(name);
        using model = new Network(device, config, arena, 'value', { gradientCheckpointing });
        const gradients = arena.twin();
        const weights = Float32Array.from(cases.flatMap((one) => one.weights));
        await model.accumulateGradients(batch, 1, () => weights, gradients);
        const names = arena.layout.entries.map((entry) => entry.name);
        assert.deepEqual(names.toSorted(), Object.keys(expected.gradients).sort());
        for (const parameter of names) {
          const { norm, at, values } = expected.gradients[parameter]!;
          const { data } = gradients.tensor(parameter);
          const atol = 1e-3 * norm;
          assertClose([Math.hypot(...data)], [norm], { atol }, parameter);
          assertClose(
            at.map((index) => data[index]!),
            values,
            { atol },
            parameter,
          );
        }
      });
    }

    it(`saves ${name} as a token classifier, which loads with the same bytes`, async () => {
      using temporary = new TemporaryDirectory();
      const { arena } = await goldenCritic(name);
      const target = join(temporary.path, 'critic');
      await saveValueCheckpoint(target, { from: goldenPath(name), arena });
      const again = await loadValueCheckpoint(target, { seed: 2 });
      // Where the checkpoint's dtype is bfloat16, so is what is saved of its head.
      const bound = name === 'micro-text' ? { rtol: 2 ** -8 } : { atol: 0 };
      assertClose(again.arena.data, arena.data, bound);
      const config = JSON.parse(readFileSync(join(target, 'config.json'), 'utf8')) as {
        architectures: string[];
        id2label: object;
      };
      assert.match(config.architectures[0]!, /^Qwen2(_5_VL)?ForTokenClassification$/);
      assert.equal(Object.keys(config.id2label).length, 1);
      const stored = await readSafetensors(join(target, 'model.safetensors'));
      assert.deepEqual(stored.get('score.weight')?.shape, [1, golden[name]!.score.weight.length]);
      assert.equal(stored.has('lm_head.weight'), false);
      // What was saved is saved again as it was.
      await saveValueCheckpoint(join(temporary.path, 'again'), { from: target, arena: again.arena });
      const [first, second] = ['critic', 'again'].map((folder) =>
        readFileSync(join(temporary.path, folder, 'model.safetensors')),
      );
      assert.ok(second!.equals(first!));
    });
  }

  it('begins with a head that the seed alone decides, as wide as initializer_range says', async () => {
    const headOf = async (seed: number): Promise<Float32Array> => {
      const { arena } = await loadValueCheckpoint(goldenPath('micro-vl'), { seed });
      assert.deepEqual([...arena.tensor('score.bias').data], [0]);
      return arena.tensor('score.weight').data;
    };
    const [head, same, other] = [await headOf(1), await headOf(1), await headOf(2)];
    assert.deepEqual(same, head);
    assert.notDeepEqual(other, head);
    const deviation = Math.hypot(...head) / Math.sqrt(head.length);
    assert.ok(deviation > 0.014 && deviation < 0.028, `${deviation} for 0.02`);
  });
});
