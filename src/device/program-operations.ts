import { GraphBuilder } from '../graph/builder.ts';
import type { Graph } from '../graph/ir.ts';
import type { DType } from '../tensor/dtype.ts';
import { floatsOf } from '../tensor/numbers.ts';
import { reshaped, sizeOf } from '../tensor/tensor.ts';
import type { Device, Operations, Program, View, Workspace } from './device.ts';

/** Operations as programs, for devices that have no better way. */
export class ProgramOperations implements Operations, Disposable {
  readonly #device: Device;
  readonly #workspace: Workspace;
  readonly #programs = new Map<string, Program>();

  constructor(device: Device) {
    this.#device = device;
    this.#workspace = device.workspace();
  }

  zero(target: View): void {
    const x = flat(target);
    if (x.shape[0] === 0) return;
    this.#run(`zero ${x.dtype}`, () => zeroGraph(x.dtype), { x }, { y: x });
  }

  copy(from: View, to: View): void {
    const [x, y] = [flat(from), flat(to)];
    if (x.shape[0] === 0) return;
    this.#run(`copy ${x.dtype} ${y.dtype}`, () => copyGraph(x.dtype, y.dtype), { x }, { y });
  }

  gatherRows(source: View, index: View<'i32'>, target: View): void {
    if (index.shape[0] === 0) return;
    const [x, y] = [asRows(source), asRows(target)];
    this.#run(`gather ${x.dtype}`, () => gatherGraph(x.dtype), { x, index }, { y });
  }

  placeRows(source: View, index: View<'i32'>, target: View): void {
    if (index.shape[0] === 0) return;
    const [x, y] = [asRows(source), asRows(target)];
    this.#run(`place ${x.dtype}`, () => placeGraph(x.dtype), { x, index, y }, { placed: y });
  }

  addRows(source: View, index: View<'i32'>, target: View): void {
    if (index.shape[0] === 0) return;
    const [x, y] = [asRows(source), asRows(target)];
    const name = `add ${x.dtype} ${y.dtype}`;
    this.#run(name, () => addGraph(x.dtype, y.dtype), { x, index, y }, { sum: y });
  }

  async squaredSum(view: View): Promise<number> {
    const x = flat(view);
    if (x.shape[0] === 0) return 0;
    const { dtype } = x;
    const sum = this.#run(`squares ${dtype}`, () => squaresGraph(dtype), { x }, {})['sum']!;
    return floatsOf(await this.#device.download(sum))[0]!;
  }

  [Symbol.dispose](): void {
    for (const program of this.#programs.values()) program[Symbol.dispose]();
    this.#workspace[Symbol.dispose]();
  }

  #run(
    name: string,
    graph: () => Graph,
    inputs: Readonly<Record<string, View>>,
    into: Readonly<Record<string, View>>,
  ): Readonly<Record<string, View>> {
    let program = this.#programs.get(name);
    if (program === undefined) {
      program = this.#device.compile(graph());
      this.#programs.set(name, program);
    }
    this.#workspace.reset();
    return program.run(inputs, this.#workspace, into);
  }
}

function flat(view: View): View {
  return reshaped(view, [sizeOf(view.shape)]);
}

function asRows(view: View): View {
  const [count = 0, ...rest] = view.shape;
  return reshaped(view, [count, sizeOf(rest)]);
}

function zeroGraph(dtype: DType): Graph {
  const g = new GraphBuilder('zero');
  g.input('x', dtype, ['n']);
  g.output('y', g.zeros(dtype, ['n']));
  return g.build();
}

/** The graph that gives its input `x [n]` as `y` in another dtype. */
export function copyGraph(from: DType, to: DType): Graph {
  const g = new GraphBuilder('copy');
  g.output('y', g.cast(g.input('x', from, ['n']), to));
  return g.build();
}

function gatherGraph(dtype: DType): Graph {
  const g = new GraphBuilder('gather-rows');
  const x = g.input('x', dtype, ['R', 'n']);
  g.output('y', g.gather(x, g.input('index', 'i32', ['N'])));
  return g.build();
}

function placeGraph(dtype: DType): Graph {
  const g = new GraphBuilder('place-rows');
  const x = g.input('x', dtype, ['N', 'n']);
  const index = g.input('index', 'i32', ['N']);
  const y = g.input('y', dtype, ['R', 'n']);
  g.output('placed', g.placeRows(x, index, y));
  return g.build();
}

function addGraph(from: DType, to: DType): Graph {
  const g = new GraphBuilder('add-rows');
  const x = g.input('x', from, ['N', 'n']);
  const index = g.input('index', 'i32', ['N']);
  const y = g.input('y', to, ['R', 'n']);
  g.output('sum', g.addRows(y, index, g.cast(x, to)));
  return g.build();
}

function squaresGraph(dtype: DType): Graph {
  const g = new GraphBuilder('squared-sum');
  const wide = g.cast(g.input('x', dtype, ['n']), 'f32');
  g.output('sum', g.reduceSum(g.mul(wide, wide), [0], true));
  return g.build();
}
