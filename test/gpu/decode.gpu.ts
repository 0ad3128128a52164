// Run by `npm run test:gpu` on a machine with a CUDA card; no part of `npm test`.
import assert from 'node:assert/strict';
import type { Device } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import { GenerationEngine } from '../../src/generation/engine.ts';
import type { Response } from '../../src/generation/request.ts';
import { Arena } from '../../src/model/weights/arena.ts';
import { packSequences } from '../../src/model/pack.ts';
import { Policy } from '../../src/model/policy.ts';
import { writeFloats } from '../../src/tensor/numbers.ts';
import { assertClose } from '../support/assert-close.ts';
import { goldenSequences, loadGoldenModel } from '../support/golden-model.ts';

describe('decoding on a card', () => {
  let card: Device;
  before(() => (card = openDevice({ device: 'cuda:0', threads: 4 })));
  after(() => card[Symbol.dispose]());

  const sequences = goldenSequences().slice(0, 8);

  async function generate(dtype: 'f32' | 'bf16', slots: number): Promise<Response[]> {
    const { config, arena } = await loadGoldenModel('micro-vl');
    const working = new Arena(arena.layout, undefined, dtype);
    writeFloats(working.flat, 0, arena.data);
    using engine = new GenerationEngine(card, config, working, {
      maxSequences: slots,
      maxPrefillTokens: 4096,
      bannedTokens: [config.tokens!.imagePad, config.tokens!.videoPad],
    });
    const responses = await engine.generate(
      sequences.map(({ prompt }, i) => ({
        prompt,
        sampling:
          i % 2 === 0
            ? { temperature: 0, topP: 1, topK: -1 }
            : { temperature: 1, topP: 0.9, topK: 50 },
        maxTokens: 24,
        stopTokens: [620],
        seeds: [
          [i, 1],
          [i, 2],
          [i, 3],
        ],
      })),
    );
    return responses.flat();
  }

  it('gives the same tokens however many slots there are', async () => {
    const [few, many] = [await generate('f32', 3), await generate('f32', 24)];
    for (const [i, { tokenIds, logProbs }] of few.entries()) {
      assert.deepEqual([...tokenIds.data], [...many[i]!.tokenIds.data]);
      assertClose(logProbs.data, many[i]!.logProbs.data, { atol: 1e-4 });
    }
  });

  it('gives the same bytes for the same seeds in bf16', async () => {
    assert.deepEqual(await generate('bf16', 16), await generate('bf16', 16));
  });

  it('gives log-probabilities in bf16 that are near those of f32', async () => {
    const { config, arena } = await loadGoldenModel('micro-vl');
    using host = openDevice({ threads: 4 });
    using policy = new Policy(host, config, arena, { gradientCheckpointing: false });
    const responses = await generate('bf16', 24);
    const given = responses.flatMap(({ logProbs }) => [...logProbs.data]);
    const scored = await policy.logProbs(
      packSequences(
        responses.map(({ tokenIds }, i) => ({
          prompt: sequences[Math.floor(i / 3)]!.prompt,
          response: tokenIds,
        })),
      ),
      1,
    );
    // The processor's own bf16 is off by 0.08.
    assertClose(given, scored, { atol: 0.2 });
  });
});
