import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { Arena } from '../../../src/model/weights/arena.ts';
import { modelWeights } from '../../../src/model/model-weights.ts';
import { packSequences } from '../../../src/model/pack.ts';
import { Policy } from '../../../src/model/policy.ts';
import { moduleNames } from '../../../src/model/weights/modules.ts';
import type { WeightSource } from '../../../src/model/weights/weight-source.ts';
import { fileBuffer, letGo } from '../../../src/tensor/file-memory.ts';
import { goldenSequences, goldenSuite } from '../../support/golden-model.ts';
import { residentBytes } from '../../support/resident-memory.ts';

describe('PagedModules', () => {
  const suite = goldenSuite('micro-vl');
  /** The same weights in a file. */
  let filed: Arena;
  before(() => {
    filed = new Arena(suite.model.arena.layout, fileBuffer(suite.model.arena.byteLength));
    filed.data.set(suite.model.arena.data);
  });
  beforeEach(() => letGo(filed.data));

  it('makes a pass come to the same bits, and leaves nothing in memory', async () => {
    const batch = packSequences(goldenSequences());
    const results = [];
    for (const arena of [suite.model.arena, filed]) {
      using policy = new Policy(suite.device, suite.model.config, arena, {
        gradientCheckpointing: true,
      });
      const gradients = suite.model.arena.twin();
      const seen: Float32Array[] = [];
      const lossGradient = (logProbs: Float32Array): Float32Array => {
        seen.push(logProbs.slice());
        return logProbs.map((_, i) => Math.sin(i));
      };
      await policy.accumulateGradients(batch, 0.7, lossGradient, gradients);
      seen.push(await policy.logProbs(batch, 0.7));
      results.push([...seen, gradients.data]);
    }
    assert.deepEqual(results[1], results[0]);
    assert.equal(residentBytes(filed.buffer), 0);
  });

  const sourceOf = (): WeightSource =>
    modelWeights(suite.device, suite.model.config, 'policy', { arena: filed, adapter: null })
      .source;
  const resident = (): number => residentBytes(filed.buffer)!;

  it('has a module in memory until the last who took it gives it back', async () => {
    const source = sourceOf();
    const first = await source.take(moduleNames.embedding);
    const taken = resident();
    assert.ok(taken > 0 && taken < filed.byteLength, `${taken} of ${filed.byteLength} bytes`);
    const second = await source.take(moduleNames.embedding);
    first[Symbol.dispose]();
    first[Symbol.dispose]();
    assert.equal(resident(), taken);
    second[Symbol.dispose]();
    assert.equal(resident(), 0);
  });

  it('brings the next module while one is used, and lets go of it where another is taken', async () => {
    const source = sourceOf();
    const aloneBytes = async (module: string): Promise<number> => {
      using _ = await source.take(module);
      return resident();
    };
    const { embedding, head } = moduleNames;
    const own = await aloneBytes(embedding);
    const others = await aloneBytes(head);
    const first = await source.take(embedding, head);
    while (resident() === own) await setTimeout(1);
    first[Symbol.dispose]();
    assert.equal(resident(), others);
    const again = await source.take(embedding, head);
    while (resident() === own) await setTimeout(1);
    const other = await source.take(embedding);
    assert.equal(resident(), own);
    again[Symbol.dispose]();
    other[Symbol.dispose]();
    assert.equal(resident(), 0);
  });
});
