// Run by `npm run test:gpu` on a machine with a CUDA card; no part of `npm test`.
import assert from 'node:assert/strict';
import { DeviceCopy, deviceCopyBytes } from '../../actors/device-copy.ts';
import type { Device } from '../../src/device/device.ts';
import { downloadFloats } from '../../src/device/float-transfer.ts';
import { openDevice } from '../../src/device/open.ts';
import { GenerationEngine } from '../../src/generation/engine.ts';
import { packSequences } from '../../src/model/pack.ts';
import { Policy } from '../../src/model/policy.ts';
import { DeviceArena } from '../../src/model/weights/device-arena.ts';
import { assertClose } from '../support/assert-close.ts';
import { goldenFamilies, goldenFamily } from '../support/golden-family.ts';
import { wrongGradients } from '../support/golden-model.ts';

describe('tiny models of the families on a card, against transformers', () => {
  let card: Device;
  before(() => (card = openDevice({ device: 'cuda:0', threads: 4 })));
  after(() => card[Symbol.dispose]());

  for (const family of goldenFamilies) {
    const golden = goldenFamily(family);

    it(`${family} gives the same log-probabilities and gradients`, async () => {
      const model = await golden.load();
      const { config, arena } = model;
      const copy = new DeviceCopy(card, arena, 'f32', new SharedArrayBuffer(deviceCopyBytes));
      await copy.handOver();
      using policy = new Policy(card, config, copy.arena, { gradientCheckpointing: true });
      const gradients = new DeviceArena(arena.layout, card.allocate('f32', [arena.layout.length]));
      const keep = (logProbs: Float32Array): Float32Array => {
        assertClose(logProbs, golden.logProbs, { atol: 1e-4 });
        return golden.weights;
      };
      await policy.accumulateGradients(packSequences(golden.sequences), 1, keep, gradients);
      const got = arena.twin();
      await downloadFloats(card, gradients.flat, got.flat);
      assert.deepEqual(wrongGradients(got, golden.gradients(model), 1e-3), []);
    });

    it(`${family} continues greedily with the same tokens`, async () => {
      const { config, arena } = await golden.load();
      const options = { maxSequences: 4, maxPrefillTokens: 64, bannedTokens: [] };
      using engine = new GenerationEngine(card, config, arena, options);
      const responses = await engine.generate(
        golden.sequences.map(({ prompt }, i) => ({
          prompt,
          sampling: { temperature: 0, topP: 1, topK: -1 },
          maxTokens: golden.cases[i]!.greedy.ids.length,
          stopTokens: [0],
          seeds: [[i, i]],
        })),
      );
      for (const [i, { greedy }] of golden.cases.entries()) {
        const { tokenIds, logProbs } = responses[i]![0]!;
        assert.deepEqual([...tokenIds.data], greedy.ids);
        assertClose(logProbs.data, greedy.logprobs, { atol: 1e-4 }, `case ${i}`);
      }
    });
  }
});
