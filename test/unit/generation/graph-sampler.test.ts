import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { Device } from '../../../src/device/device.ts';
import { openDevice } from '../../../src/device/open.ts';
import { HostSampler } from '../../../src/generation/cpu/sampler.ts';
import { GraphSampler } from '../../../src/generation/graph-sampler.ts';
import type { Sampling } from '../../../src/generation/sampler.ts';
import { tensorOf } from '../../../src/tensor/tensor.ts';
import { loadSoftwareGpu } from '../../support/software-gpu.ts';

/** More than two parts of running sums, the last of them not full. */
const VOCABULARY = 600;
/** Probabilities are multiples of one over this, so that sums are exact in any order; many are equal, most are 0. */
const MASS = 4096;

/** A distribution of which `count` tokens, one of `masses` each in turn, have what the last one leaves. */
function distributionOf(masses: readonly number[], start: number, stride: number): number[] {
  const row = Array<number>(VOCABULARY).fill(0);
  let left = MASS;
  for (let i = 0; i < 200 && left > 0; i++) {
    const mass = Math.min(left, masses[i % masses.length]!);
    row[(start + i * stride) % VOCABULARY]! += mass;
    left -= mass;
  }
  row[start]! += left;
  return row.map((mass) => mass / MASS);
}

// 7 and 600 have no common divisor, so that strides reach every token.
const distributions = fc
  .tuple(
    fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 5 }),
    fc.integer({ min: 0, max: VOCABULARY - 1 }),
    fc.constantFrom(1, 7, 299),
  )
  .map(([masses, start, stride]) => distributionOf(masses, start, stride));
const samplings: fc.Arbitrary<Sampling> = fc.record({
  temperature: fc.constantFrom(0, 1, 1, 1),
  topK: fc.constantFrom(-1, 1, 2, 7, 100, VOCABULARY, 10_000),
  topP: fc.constantFrom(0, 0.25, 0.5, 0.875, 1),
});
const unbounded: Sampling = { temperature: 1, topK: -1, topP: 1 };
// 12 bits, and never at a boundary of two tokens.
const uniforms = fc.integer({ min: 0, max: 2047 }).map((k) => (2 * k + 1) / 4096 / 1.0009765625);

function drawsAlike(name: string, open: () => Device, numRuns: number): void {
  describe(`GraphSampler on ${name}`, () => {
    let host: Device;
    let device: Device;
    let sampler: GraphSampler;
    before(() => {
      host = openDevice({ threads: 1 });
      device = open();
      sampler = new GraphSampler(device, VOCABULARY);
    });
    after(() => {
      sampler[Symbol.dispose]();
      device[Symbol.dispose]();
      host[Symbol.dispose]();
    });

    it('draws what the host draws from the same numbers, equals and rows drawn twice included', async () => {
      const trial = fc.tuple(
        fc.array(distributions, { minLength: 3, maxLength: 3 }),
        fc.array(fc.tuple(fc.nat(2), samplings, uniforms), { minLength: 1, maxLength: 6 }),
      );
      await fc.assert(
        fc.asyncProperty(trial, async ([rows, draws]) => {
          const tensor = tensorOf('f32', [3, VOCABULARY], rows.flat());
          const requests = draws.map(([row, sampling, uniform]) => ({ row, sampling, uniform }));
          using workspace = device.workspace();
          const expected = await new HostSampler().draw(host.host!.view(tensor), requests);
          assert.deepEqual(await sampler.draw(workspace.put(tensor), requests), expected);
        }),
        { numRuns },
      );
    });

    it('draws the last token of all that may be drawn where rounding leaves no other', async () => {
      const row = distributionOf([8], 0, 1).map((p) => p / 2);
      const tensor = tensorOf('f32', [1, VOCABULARY], row);
      using workspace = device.workspace();
      const [last] = await sampler.draw(workspace.put(tensor), [
        { row: 0, sampling: unbounded, uniform: 0.75 },
      ]);
      assert.equal(
        last!.token,
        row.findLastIndex((p) => p > 0),
      );
    });

    it('says that probabilities are not numbers, whatever bounds the draw', async () => {
      const tensor = tensorOf('f32', [1, VOCABULARY], Array<number>(VOCABULARY).fill(NaN));
      for (const sampling of [unbounded, { ...unbounded, topK: 3 }, { ...unbounded, topP: 0.5 }]) {
        using workspace = device.workspace();
        const requests = [{ row: 0, sampling, uniform: 0.5 }];
        await assert.rejects(sampler.draw(workspace.put(tensor), requests), {
          code: 'NUMERIC_NONFINITE',
        });
      }
    });
  });
}

drawsAlike('cpu', () => openDevice({ threads: 1 }), 60);
if (loadSoftwareGpu()) drawsAlike('webgpu', () => openDevice({ device: 'webgpu', threads: 1 }), 4);
