// Run by `npm run test:gpu` on a machine with a CUDA card; no part of `npm test`.
import assert from 'node:assert/strict';
import type { Device } from '../../src/device/device.ts';
import { openDevice } from '../../src/device/open.ts';
import { GenerationEngine } from '../../src/generation/engine.ts';
import type { Response } from '../../src/generation/request.ts';
import { Arena } from '../../src/model/arena.ts';
import { writeFloats } from '../../src/tensor/numbers.ts';
import { assertClose } from '../support/assert-close.ts';
import { goldenCases } from '../support/golden.ts';
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
      bannedTokens: [],
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
        keys: [
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

  it('is as near to the reference in bf16 as bf16 goes', async () => {
    const responses = await generate('bf16', 24);
    for (const [i, { greedy }] of goldenCases().slice(0, 8).entries()) {
      if (i % 2 === 1) continue;
      const { tokenIds, logProbs } = responses[3 * i]!;
      // Until a token is another one, which nearly equal ones may be.
      const count = tokenIds.data.findIndex((token, j) => token !== greedy.ids[j]);
      const same = count < 0 ? tokenIds.data.length : count;
      assert.ok(same > 4, `case ${i}: ${same} tokens`);
      assertClose(logProbs.data.subarray(0, same), greedy.logprobs.slice(0, same), { atol: 0.1 });
    }
  });
});
