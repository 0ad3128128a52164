import type { Device, Program, View } from '../device/device.ts';
import { GraphBuilder } from '../graph/builder.ts';
import type { FloatDType } from '../tensor/dtype.ts';
import { slices } from '../tensor/slices.ts';
import { sizeOf } from '../tensor/tensor.ts';

/** Elements rounded at a time; they are in memory in both dtypes. */
const AT_ONCE = 2 ** 22;

/** Rounds f32 tensors in place to the numbers of a narrower dtype. */
export class Rounding implements Disposable {
  readonly #device: Device;
  readonly #program: Program;

  constructor(device: Device, dtype: FloatDType) {
    this.#device = device;
    const g = new GraphBuilder('round');
    g.output('rounded', g.cast(g.cast(g.input('x', 'f32', ['n']), dtype), 'f32'));
    this.#program = device.compile(g.build());
  }

  /** @param x `[N]`, on an addressable device */
  round(x: View<'f32'>): void {
    using workspace = this.#device.workspace();
    for (const { start, length } of slices(sizeOf(x.shape), AT_ONCE)) {
      const piece = this.#device.part(x, start, [length]);
      this.#program.run({ x: piece }, workspace, { rounded: piece });
    }
  }

  [Symbol.dispose](): void {
    this.#program[Symbol.dispose]();
  }
}
