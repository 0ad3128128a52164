import assert from 'node:assert/strict';
import type { Device, View } from '../../src/device/device.ts';
import { readTensor } from '../../src/device/host-tensors.ts';
import { GraphBuilder } from '../../src/graph/builder.ts';
import type { Graph } from '../../src/graph/ir.ts';
import { floatsOf, writeFloats } from '../../src/tensor/numbers.ts';
import { reshaped, tensorOf, zeros, type Tensor } from '../../src/tensor/tensor.ts';
import { assertClose } from '../support/assert-close.ts';

/** `y = 2 x + z` over vectors of any length. */
function scaleAndAdd(): Graph {
  const g = new GraphBuilder('scale-and-add');
  const x = g.input('x', 'f32', ['n']);
  const z = g.input('z', 'f32', ['n']);
  g.output('y', g.add(g.mul(x, g.scalar(2)), z));
  return g.build();
}

function floats(dtype: 'f32' | 'f16' | 'bf16', values: readonly number[]): Tensor {
  const tensor = zeros(dtype, [values.length]);
  writeFloats(tensor, 0, Float32Array.from(values));
  return tensor;
}

/** Suite that every device passes. */
export function conformsToDevice(name: string, open: () => Device): void {
  describe(`${name} as a device`, () => {
    let device: Device;
    before(() => (device = open()));
    after(() => device[Symbol.dispose]());

    const put = (tensor: Tensor): View => {
      const view = device.allocate(tensor.dtype, tensor.shape);
      device.upload(tensor, view);
      return view;
    };
    const numbers = async (view: View): Promise<number[]> =>
      Array.from((await device.download(view)).data, Number);

    it('allocates zeros, and gives back what was uploaded, of every dtype', async () => {
      const values = {
        f32: [1.5, -2, 3e-8, Infinity],
        i32: [1, -2, 2 ** 31 - 1, 0],
        i64: [1, -2, 2 ** 40, 0],
        u8: [1, 2, 255, 0],
        bool: [1, 0, 1, 1],
      } as const;
      for (const dtype of ['f32', 'i32', 'i64', 'u8', 'bool'] as const) {
        const tensor = tensorOf(dtype, [2, 2], values[dtype]);
        const view = device.allocate(dtype, [2, 2]);
        assert.deepEqual(await numbers(view), [0, 0, 0, 0]);
        device.upload(tensor, view);
        assert.deepEqual(await device.download(view), tensor);
        view[Symbol.dispose]();
      }
      for (const dtype of device.computeDTypes) {
        const tensor = floats(dtype, [1.5, -2, 0.25, Infinity]);
        assert.deepEqual(await device.download(put(tensor)), tensor);
      }
    });

    it('downloads a copy, which later work does not change', async () => {
      const view = put(tensorOf('f32', [2], [1, 2]));
      const copy = await device.download(view);
      device.operations.zero(view);
      assert.deepEqual([...copy.data], [1, 2]);
      assert.deepEqual(await numbers(view), [0, 0]);
    });

    it('uploads what a tensor holds at the call', async () => {
      const tensor = tensorOf('f32', [2], [1, 2]);
      const view = put(tensor);
      tensor.data.fill(9);
      assert.deepEqual(await numbers(view), [1, 2]);
    });

    it('reshapes without copying', async () => {
      const view = put(tensorOf('f32', [2, 3], [1, 2, 3, 4, 5, 6]));
      const flat = reshaped(view, [6]);
      device.operations.zero(view);
      assert.deepEqual([...(await readTensor(flat)).data], [0, 0, 0, 0, 0, 0]);
      assert.throws(() => reshaped(view, [7]), { code: 'SHAPE_MISMATCH' });
    });

    it('cuts parts where it is addressable, and says so where it is not', async () => {
      const view = put(tensorOf('f32', [2, 3], [1, 2, 3, 4, 5, 6]));
      if (!device.isAddressable) {
        assert.throws(() => device.part(view, 2, [2]), { code: 'INTERNAL' });
        return;
      }
      const part = device.part(view, 2, [2]);
      assert.deepEqual(await numbers(part), [3, 4]);
      device.operations.zero(part);
      assert.deepEqual(await numbers(view), [1, 2, 0, 0, 5, 6]);
      assert.throws(() => device.part(view, 5, [2]), { code: 'SHAPE_MISMATCH' });
    });

    describe('programs', () => {
      it('run with the sizes that their inputs have', async () => {
        using program = device.compile(scaleAndAdd());
        using workspace = device.workspace();
        for (const n of [1, 5, 1000]) {
          const x = Array.from({ length: n }, (_, i) => i);
          const { y } = program.run(
            { x: put(tensorOf('f32', [n], x)), z: put(tensorOf('f32', [n], x)) },
            workspace,
          );
          assert.deepEqual(
            await numbers(y!),
            x.map((value) => 3 * value),
          );
        }
      });

      it('run in order, each seeing what those before it wrote', async () => {
        using program = device.compile(scaleAndAdd());
        using workspace = device.workspace();
        let x: View = put(tensorOf('f32', [2], [1, -1]));
        const z = put(tensorOf('f32', [2], [1, 1]));
        for (let i = 0; i < 10; i++) x = program.run({ x, z }, workspace)['y']!;
        assert.deepEqual(await numbers(x), [2 ** 11 - 1, -1]);
      });

      it('write outputs where they are told to, in place too', async () => {
        using program = device.compile(scaleAndAdd());
        using workspace = device.workspace();
        const [x, z] = [put(tensorOf('f32', [2], [1, 2])), put(tensorOf('f32', [2], [10, 20]))];
        const into = put(tensorOf('f32', [2], [NaN, NaN]));
        assert.equal(program.run({ x, z }, workspace, { y: into })['y'], into);
        assert.deepEqual(await numbers(into), [12, 24]);
        for (let i = 0; i < 3; i++) program.run({ x, z }, workspace, { y: z });
        assert.deepEqual(await numbers(z), [16, 32]);
        const [twos, sums] = [2, 1].map((value) =>
          put(tensorOf('f32', [1200], Array<number>(1200).fill(value))),
        );
        program.run({ x: twos!, z: sums! }, workspace, { y: sums! });
        assert.deepEqual(new Set(await numbers(sums!)), new Set([5]));
      });

      it('take what a workspace puts for the device', async () => {
        using program = device.compile(scaleAndAdd());
        using workspace = device.workspace();
        const x = workspace.put(tensorOf('f32', [2], [1, 2]));
        assert.deepEqual(await numbers(program.run({ x, z: x }, workspace)['y']!), [3, 6]);
      });

      it('run again after memory was trimmed, and recordings as well', async () => {
        using program = device.compile(scaleAndAdd());
        using workspace = device.workspace();
        using recorded = device.workspace();
        const pinned = tensorOf('f32', [2], [1, 2]);
        device.pin(pinned);
        const [x, z] = [put(pinned), put(tensorOf('f32', [2], [10, 20]))];
        using y = device.allocate('f32', [2]);
        using recording = device.record(() => {
          recorded.reset();
          const once = program.run({ x, z }, recorded)['y']!;
          program.run({ x: once, z }, recorded, { y });
        });
        assert.deepEqual(await numbers(program.run({ x, z }, workspace)['y']!), [12, 24]);
        device.trim();
        assert.deepEqual(await numbers(program.run({ x, z }, workspace)['y']!), [12, 24]);
        recording.run();
        assert.deepEqual(await numbers(y), [34, 68]);
      });

      it('stay bound from one run to the next', async () => {
        using program = device.compile(scaleAndAdd());
        const [x, z] = [put(tensorOf('f32', [2], [1, 2])), put(tensorOf('f32', [2], [0, 0]))];
        using bound = program.bind().input('x', x).input('z', z).output('y', z);
        bound.run();
        device.upload(tensorOf('f32', [2], [5, 5]), x);
        bound.run();
        assert.deepEqual(await numbers(z), [12, 14]);
      });

      it('are recorded, and run again on what their inputs hold by then', async () => {
        using program = device.compile(scaleAndAdd());
        using workspace = device.workspace();
        const [x, z] = [put(tensorOf('f32', [2], [0, 0])), put(tensorOf('f32', [2], [1, 2]))];
        using y = device.allocate('f32', [2]);
        using recording = device.record(() => {
          workspace.reset();
          const once = program.run({ x, z }, workspace)['y']!;
          program.run({ x: once, z }, workspace, { y });
        });
        for (const [a, b] of [
          [1, 2],
          [-3, 0.5],
        ] as const) {
          device.upload(tensorOf('f32', [2], [a, b]), x);
          recording.run();
          assert.deepEqual(await numbers(y), [4 * a + 3, 4 * b + 6]);
        }
      });

      it('are timed one after the other while they are profiled, run or bound, and not otherwise', async () => {
        using program = device.compile(scaleAndAdd());
        using other = device.compile({ ...scaleAndAdd(), name: 'other' });
        using workspace = device.workspace();
        const [x, z] = [put(tensorOf('f32', [2], [1, 2])), put(tensorOf('f32', [2], [10, 20]))];
        const into = put(tensorOf('f32', [2], [0, 0]));
        using bound = other.bind().input('x', x).input('z', z).output('y', into);
        program.run({ x, z }, workspace);
        const profile = device.profile();
        const now = (): number => (performance.timeOrigin + performance.now()) * 1000;
        const beganUs = now();
        program.run({ x, z }, workspace);
        bound.run();
        const [endedUs, runs] = [now(), await profile.end()];
        bound.run();
        assert.deepEqual(await numbers(into), [12, 24]);
        const programs = runs.filter(({ lane }) => lane === 'programs');
        assert.deepEqual(
          programs.map((run) => run.name),
          ['scale-and-add', 'other'],
        );
        const moments = programs.flatMap(({ startUs, durationUs }) => [
          startUs,
          startUs + durationUs,
        ]);
        const all = [beganUs, ...moments, endedUs];
        for (const [i, moment] of moments.entries()) {
          // a start and a duration add up to a moment but for the last bits
          assert.ok(moment >= all[i]! - 1 && moment <= all[i + 2]! + 1, `moment ${i}`);
        }
        assert.deepEqual(await device.profile().end(), []);
      });

      it('say which input is missing, and what does not fit', () => {
        using program = device.compile(scaleAndAdd());
        using workspace = device.workspace();
        const x = put(tensorOf('f32', [2], [1, 2]));
        assert.throws(() => program.run({ x }, workspace), { code: 'GRAPH_INVALID', message: /z/ });
        const z = put(tensorOf('f32', [1, 2], [1, 2]));
        assert.throws(() => program.run({ x, z }, workspace), { code: 'SHAPE_MISMATCH' });
      });
    });

    it('gives workspace memory back and uses it again', () => {
      using workspace = device.workspace();
      const fill = (): void => {
        for (let i = 0; i < 8; i++) workspace.take('f32', [1000, 100]);
      };
      fill();
      {
        using _ = workspace.scope();
        workspace.take('f32', [1000, 100]);
      }
      const size = workspace.sizeBytes;
      for (let pass = 0; pass < 5; pass++) {
        workspace.reset();
        fill();
      }
      assert.equal(workspace.sizeBytes, size);
    });

    describe('operations', () => {
      const rows = (...values: number[]): View =>
        put(tensorOf('f32', [values.length / 2, 2], values));
      const index = (...values: number[]): View<'i32'> =>
        put(tensorOf('i32', [values.length], values)) as View<'i32'>;

      it('copy, also from one float dtype to another', async () => {
        const values = [1.5, -2, 0.25];
        for (const from of device.computeDTypes) {
          for (const to of device.computeDTypes) {
            const target = device.allocate(to, [3]);
            device.operations.copy(put(floats(from, values)), target);
            assert.deepEqual([...floatsOf(await device.download(target))], values);
          }
        }
      });

      it('gather rows by index, repeats included', async () => {
        const target = device.allocate('f32', [4, 2]);
        device.operations.gatherRows(rows(1, 2, 3, 4, 5, 6), index(2, 0, 2, 1), target);
        assert.deepEqual(await numbers(target), [5, 6, 1, 2, 5, 6, 3, 4]);
      });

      it('place rows at their index and leave the others', async () => {
        const target = rows(9, 9, 9, 9, 9, 9, 9, 9);
        device.operations.placeRows(rows(1, 2, 3, 4, 5, 6), index(3, 0, 2), target);
        assert.deepEqual(await numbers(target), [3, 4, 9, 9, 5, 6, 1, 2]);
      });

      it('add rows at their index, as often as it occurs', async () => {
        const target = rows(10, 20, 30, 40);
        device.operations.addRows(rows(1, 2, 3, 4, 5, 6), index(1, 1, 0), target);
        assert.deepEqual(await numbers(target), [15, 26, 34, 46]);
        const many = Array.from({ length: 500 }, (_, i) => Math.sin(i));
        const at = many.map((_, i) => i % 3).filter((_, i) => i % 2 === 0);
        const expected = [0, 0, 0, 0, 0, 0];
        many.forEach((value, i) => (expected[2 * at[i >> 1]! + (i % 2)]! += value));
        for (let run = 0; run < 5; run++) {
          const sum = device.allocate('f32', [3, 2]);
          device.operations.addRows(rows(...many), index(...at), sum);
          assertClose(await numbers(sum), expected, { atol: 1e-4 });
        }
      });

      it('do nothing for no rows', async () => {
        const target = rows(1, 2);
        const none = device.allocate('f32', [0, 2]);
        device.operations.addRows(none, index(), target);
        device.operations.placeRows(none, index(), target);
        assert.deepEqual(await numbers(target), [1, 2]);
      });

      it('sum squares, and show what is not finite', async () => {
        const sumOf = (values: number[]): Promise<number> =>
          device.operations.squaredSum(put(tensorOf('f32', [values.length], values)));
        for (const length of [0, 1, 5, 6, 7, 100_003]) {
          const sum = await sumOf(Array<number>(length).fill(0.1));
          assertClose([sum], [length * Math.fround(0.1) ** 2], { rtol: 1e-5 });
        }
        assert.equal(Number.isFinite(await sumOf([1, NaN, 2, 3, 4])), false);
        assert.equal(Number.isFinite(await sumOf([1, 2, 3, 4, Infinity])), false);
      });
    });
  });
}
