// Run by `npm run test:gpu` on a machine with a CUDA card; no part of `npm test`.
import assert from 'node:assert/strict';
import { DeviceCopy, deviceCopyBytes } from '../../actors/device-copy.ts';
import type { Device } from '../../src/device/device.ts';
import { downloadFloats } from '../../src/device/float-transfer.ts';
import { openDevice } from '../../src/device/open.ts';
import { Arena } from '../../src/model/weights/arena.ts';
import { DeviceArena } from '../../src/model/weights/device-arena.ts';
import { packSequences } from '../../src/model/pack.ts';
import { Policy } from '../../src/model/policy.ts';
import type { OptimizerName } from '../../src/config/model-schema.ts';
import { strategies } from '../../src/optim/adamw-graph.ts';
import type { FloatDType } from '../../src/tensor/dtype.ts';
import { alone } from '../../src/training/learner-group.ts';
import { Optimization } from '../../src/training/optimization.ts';
import { assertClose } from '../support/assert-close.ts';
import { goldenSequences, loadGoldenModel, relativeError } from '../support/golden-model.ts';

describe('training on a card', () => {
  let host: Device;
  let card: Device;
  before(() => {
    host = openDevice({ threads: 4 });
    card = openDevice({ device: 'cuda:0', threads: 4 });
  });
  after(() => {
    host[Symbol.dispose]();
    card[Symbol.dispose]();
  });

  async function placed(arena: Arena, dtype: FloatDType): Promise<DeviceArena> {
    const copy = new DeviceCopy(card, arena, dtype, new SharedArrayBuffer(deviceCopyBytes));
    await copy.handOver();
    return copy.arena;
  }

  const batch = packSequences(goldenSequences());
  const weights = (logProbs: Float32Array): Float32Array =>
    logProbs.map((_, i) => Math.sin(i) / logProbs.length);

  /** A loss of log-probabilities and of the entropies of their distributions. */
  const ofEntropies = {
    withEntropies: (logProbs: Float32Array, entropies: Float32Array) =>
      [weights(logProbs), entropies.map((_, i) => Math.cos(i) / entropies.length)] as const,
  };

  it("gives the processor's entropies", async () => {
    const { config, arena } = await loadGoldenModel('micro-vl');
    using here = new Policy(host, config, arena, { gradientCheckpointing: false });
    using there = new Policy(card, config, await placed(arena, 'f32'), {
      gradientCheckpointing: false,
    });
    const [expected, got] = await Promise.all(
      [here, there].map((policy) => policy.logProbsAndEntropies(batch, 0.7)),
    );
    assertClose(got![0], expected![0], { atol: 1e-4 });
    assertClose(got![1], expected![1], { atol: 1e-4 });
  });

  for (const [gradientCheckpointing, loss, of] of [
    [false, weights, 'log-probabilities'],
    [true, weights, 'log-probabilities'],
    [false, ofEntropies, 'entropies too'],
  ] as const) {
    it(`gives the processor's gradients in f32 of ${of}, checkpointing ${gradientCheckpointing}`, async () => {
      const { config, arena } = await loadGoldenModel('micro-vl');
      const expected = arena.twin();
      using here = new Policy(host, config, arena, { gradientCheckpointing });
      await here.accumulateGradients(batch, 1, loss, expected);
      using there = new Policy(card, config, await placed(arena, 'f32'), { gradientCheckpointing });
      const gradients = new DeviceArena(arena.layout, card.allocate('f32', [arena.layout.length]));
      await there.accumulateGradients(batch, 1, loss, gradients);
      const got = arena.twin();
      await downloadFloats(card, gradients.flat, got.flat);
      const wrong = arena.layout.entries.flatMap(({ name }) => {
        const error = relativeError(got.tensor(name).data, expected.tensor(name).data);
        return error < 1e-3 ? [] : [`${name}: ${error}`];
      });
      assert.deepEqual(wrong, []);
    });
  }

  for (const strategy of Object.keys(strategies) as OptimizerName[]) {
    for (const storage of ['f32', 'bf16'] as const) {
      for (const dtype of ['f32', 'bf16'] as const) {
        it(`learns its responses by ${strategy}, kept in ${storage}, computed in ${dtype}`, async () => {
          const { config, arena } = await loadGoldenModel('micro-vl');
          const working = await placed(arena, dtype);
          using policy = new Policy(card, config, working, { gradientCheckpointing: false });
          const options = { betas: [0.9, 0.999], weightDecay: 0, maxGradNorm: 1 } as const;
          using optimization = new Optimization(
            card,
            arena,
            { ...options, strategy, storage },
            { group: alone, sharesWeights: true },
            working,
          );
          const losses: number[] = [];
          for (let step = 0; step < 6; step++) {
            optimization.clearGradients();
            const lossGradient = (logProbs: Float32Array): Float32Array => {
              losses.push(-logProbs.reduce((sum, value) => sum + value, 0) / logProbs.length);
              return logProbs.map(() => -1 / logProbs.length);
            };
            await policy.accumulateGradients(batch, 1, lossGradient, optimization.gradients);
            assert.ok(Number.isFinite(await optimization.step(1e-3)));
          }
          for (const [i, loss] of losses.entries()) {
            assert.ok(i === 0 || loss < losses[i - 1]!, losses.join(', '));
          }
        });
      }
    }
  }

  it('steps weights and a state that stay in the host’s memory as it steps those on the card', async () => {
    const trained = async (isOffloaded: boolean): Promise<Arena> => {
      const { config, arena } = await loadGoldenModel('micro-vl');
      const working = isOffloaded ? arena : await placed(arena, 'f32');
      using policy = new Policy(card, config, working, { gradientCheckpointing: true });
      const options = { betas: [0.9, 0.999], weightDecay: 0.1, maxGradNorm: 1 } as const;
      using optimization = new Optimization(
        card,
        arena,
        { ...options, offloadsState: isOffloaded },
        { group: alone, sharesWeights: true },
        working,
      );
      for (let step = 0; step < 2; step++) {
        optimization.clearGradients();
        await policy.accumulateGradients(batch, 1, weights, optimization.gradients);
        assert.ok(Number.isFinite(await optimization.step(1e-3)));
      }
      await optimization.collectWeights();
      return arena;
    };
    const { arena: before } = await loadGoldenModel('micro-vl');
    const [offloaded, resident] = [await trained(true), await trained(false)];
    assert.ok(relativeError(resident.data, before.data) > 1e-3);
    // A card adds rows of an embedding up in no order, and AdamW divides by what may be next to nothing.
    assert.ok(relativeError(offloaded.data, resident.data) < 1e-5);
  });
});
