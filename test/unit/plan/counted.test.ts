import assert from 'node:assert/strict';
import { CpuDevice } from '../../../src/device/cpu/device.ts';
import { GraphBuilder } from '../../../src/graph/builder.ts';
import { Policy } from '../../../src/model/policy.ts';
import { packSequences } from '../../../src/model/pack.ts';
import { DeviceArena } from '../../../src/model/weights/device-arena.ts';
import { CountedDevice } from '../../../src/plan/counted/device.ts';
import { openCounted } from '../../../src/plan/passes.ts';
import { madePrompts, madeResponses } from '../../../src/plan/prompts.ts';
import { sizedBy } from '../../../src/plan/sizes.ts';
import { loadGoldenModel } from '../../support/golden-model.ts';

const whole = { lora: null, freezeVisionTower: false, learners: 1 };

describe('a device that counts', () => {
  it('counts a product by its sizes, and what passes over the rest', async () => {
    const g = new GraphBuilder('example');
    const x = g.input('x', 'f32', ['T', 8]);
    const w = g.input('w', 'f32', [16, 8]);
    g.output('y', g.exp(g.gemm(x, w, { transB: true })));
    using device = new CountedDevice('cpu');
    using program = device.compile(g.build());
    const inputs = { x: device.place('f32', [10, 8]), w: device.place('f32', [16, 8]) };
    using workspace = device.workspace();
    const work = await device.ledger.of(() => void program.run(inputs, workspace));
    assert.deepEqual(
      { programs: work.programs, nodes: work.nodes, products: work.products },
      { programs: 1, nodes: 2, products: 2 * 10 * 8 * 16 },
    );
    assert.equal(work.operands, 4 * (10 * 8 + 16 * 8 + 10 * 16));
    assert.equal(work.exponentials, 10 * 16);
    assert.equal(work.moved, 4 * 2 * 10 * 16);
    // The product's result lives inside of the program, in 256 bytes or a multiple of them.
    assert.equal(device.memory.inside, Math.ceil((4 * 160) / 256) * 256);
  });

  it('counts a product of groups by its rows, and reads the weights of no more groups than have any', async () => {
    const g = new GraphBuilder('example');
    const x = g.input('x', 'f32', ['T', 8]);
    const counts = g.input('counts', 'i64', [4]);
    const weights = ['a', 'b', 'c', 'd'].map((name) => g.input(name, 'f32', [16, 8]));
    g.output('y', g.groupedProduct(x, counts, weights, { transB: true }));
    using device = new CountedDevice('cpu');
    using program = device.compile(g.build());
    using workspace = device.workspace();
    const workOf = (rows: number) => {
      const weight = device.place('f32', [16, 8]);
      const inputs = {
        ...{ x: device.place('f32', [rows, 8]), counts: device.place('i64', [4]) },
        ...{ a: weight, b: weight, c: weight, d: weight },
      };
      return device.ledger.of(() => void program.run(inputs, workspace));
    };
    const [few, many] = [await workOf(3), await workOf(10)];
    assert.equal(few.products, 2 * 3 * 8 * 16);
    assert.equal(few.operands, 4 * (3 * 8 + 3 * 16 * 8 + 3 * 16));
    assert.equal(many.operands, 4 * (10 * 8 + 4 * 16 * 8 + 10 * 16));
  });

  it('counts the slabs of a card, and of the host what tensors were cut from', () => {
    const MiB = 2 ** 20;
    // Two slabs of 8 MiB at first, then one of 16.
    for (const [kind, most] of [
      ['cuda', 16 * MiB],
      ['cpu', 12 * MiB],
    ] as const) {
      using device = new CountedDevice(kind);
      const workspace = device.workspace();
      for (let pass = 0; pass < 2; pass++) {
        workspace.take('u8', [6 * MiB]);
        for (let block = 0; block < 2; block++) {
          using _ = workspace.scope();
          workspace.take('u8', [6 * MiB]);
        }
        workspace.reset();
      }
      assert.equal(device.memory.workspaces, most, kind);
      workspace[Symbol.dispose]();
      device.workspace().take('u8', [MiB]);
      assert.equal(device.memory.workspaces, most, kind);
    }
  });

  for (const gradientCheckpointing of [false, true]) {
    const how = gradientCheckpointing ? 'recomputed' : 'saved';
    it(`plans the workspace of a model whose activations are ${how} to the byte`, async () => {
      const { config, arena } = await loadGoldenModel('micro-vl');
      const lengths = { promptTokens: 40, pictures: 1 };
      const prompts = madePrompts(config, { ...lengths, picture: [112, 56] }, 3);
      const batch = packSequences(madeResponses(prompts, 2, 30));
      const gradient = (scores: Float32Array): Float32Array => scores.map(() => 0);

      using device = new CpuDevice();
      const options = { gradientCheckpointing, isVisionFixed: false };
      using policy = new Policy(device, config, arena, options);
      const gradients = new DeviceArena(
        arena.layout,
        device.allocate('f32', [arena.layout.length]),
      );
      for (let pass = 0; pass < 2; pass++) {
        await policy.accumulateGradients(batch, 1, gradient, gradients);
      }

      using counting = new CountedDevice('cpu');
      const model = sizedBy(config, whole, 'policy');
      const { network } = openCounted(counting, model, 'f32', gradientCheckpointing);
      const none = new DeviceArena(model.layout, counting.place('f32', [model.layout.length]));
      for (let pass = 0; pass < 2; pass++) {
        await network.accumulateGradients(batch, 1, gradient, none);
      }
      assert.equal(network.workspaceBytes, policy.workspaceBytes);
      assert.ok(policy.workspaceBytes > 0);
      network[Symbol.dispose]();
    });
  }
});
