import assert from 'node:assert/strict';
import { KernelProgram, type KernelStage } from '../../../src/device/cuda/kernel-program.ts';
import type { KernelSteps } from '../../../src/device/cuda/kernel-steps.ts';
import { cudaView, type CudaView } from '../../../src/device/cuda/view.ts';
import type { Device } from '../../../src/device/device.ts';
import { differentiate } from '../../../src/graph/backward.ts';
import { GraphBuilder } from '../../../src/graph/builder.ts';
import { interpret } from '../../../src/graph/interpret.ts';
import type { Graph, Node } from '../../../src/graph/ir.ts';
import type { Kernel, Step } from '../../../src/graph/kernel.ts';
import { opOf } from '../../../src/graph/ops/table.ts';
import { kernelGraphOf, scheduled } from '../../../src/graph/schedule.ts';
import type { Target } from '../../../src/graph/target.ts';
import { Rng } from '../../../src/rng.ts';
import { bytesPerElement, type DType } from '../../../src/tensor/dtype.ts';
import { numbersOf } from '../../../src/tensor/numbers.ts';
import { byteLengthOf, sizeOf, tensorOf, type Tensor } from '../../../src/tensor/tensor.ts';

type Type = Pick<Tensor, 'dtype' | 'shape'>;

/** Bytes of the card that does not exist. */
const MEMORY_BYTES = 1 << 22;

/**
 * A card whose kernels are the ops' own definitions, and whose memory holds a number at the first byte of each element.
 */
class ReferenceCard {
  readonly #memory = new Float64Array(MEMORY_BYTES).fill(NaN);
  readonly #nodes = new Map<Step, Node>();
  #used = 256;
  scratchBytes = 0;

  readonly target: Target = {
    name: 'reference',
    hasKernel: () => true,
    stepsOf: (node) => {
      if (node.op === 'reshape') return undefined;
      const launch = () =>
        ({ grid: [1, 1, 1], block: [1, 1, 1], sharedBytes: 0, scalars: [] }) as const;
      const kernel: Kernel = { entry: node.op, source: '', launch };
      this.#nodes.set(kernel, node);
      const own = opOf(node).steps?.(node) ?? [];
      // Outputs that start as inputs, and products with addends, are the card's affair.
      return [...own.filter((step) => !('entry' in step)), kernel];
    },
  };

  readonly stage: KernelStage = {
    steps: {
      prepare: () => undefined,
      run: (node, plan, addresses) => {
        for (const [i, step] of plan.steps.entries()) {
          if ('inPlace' in step) {
            const { input, output } = step.inPlace;
            const to = addresses[node.inputs.length + output]!;
            const type = { dtype: node.outputs[output]!.dtype, shape: plan.outputs[output]! };
            this.#write(to, type, this.#read(addresses[input]!, type));
          } else if ('kernel' in step) {
            this.#compute(this.#nodes.get(node.steps[i]!)!, plan.outputs, addresses);
          }
        }
      },
      copy: (from, to, byteLength) => {
        this.#memory.copyWithin(Number(to), Number(from), Number(from) + byteLength);
      },
    } as Pick<KernelSteps, 'prepare' | 'run' | 'copy'> as KernelSteps,
    scratch: (byteLength) => {
      this.scratchBytes = byteLength;
      const address = this.#allocate(byteLength);
      this.#memory.fill(NaN, Number(address), Number(address) + byteLength);
      return address;
    },
    constant: (tensor) => ({ ...this.put(tensor), [Symbol.dispose]: () => undefined }),
    observed: (_, queue) => {
      queue();
    },
  };

  /** A graph's program on the card. */
  program(graph: Graph): KernelProgram {
    const kernels = kernelGraphOf(scheduled(graph, this.target), this.target);
    return new KernelProgram(graph, kernels!, this.stage);
  }

  put(tensor: Tensor): CudaView {
    const view = this.take(tensor.dtype, tensor.shape);
    this.#write(view.address, tensor, numbersOf(tensor));
    return view;
  }

  take(dtype: DType, shape: readonly number[]): CudaView {
    const address = this.#allocate(byteLengthOf({ dtype, shape }));
    return cudaView({ name: 'reference' } as Device, dtype, shape, address);
  }

  read({ address, dtype, shape }: CudaView): Tensor {
    return tensorOf(dtype, shape, [...this.#read(address, { dtype, shape })]);
  }

  #allocate(byteLength: number): bigint {
    const address = this.#used;
    this.#used += Math.ceil((byteLength + 1) / 256) * 256;
    assert.ok(this.#used <= MEMORY_BYTES);
    return BigInt(address);
  }

  #compute(node: Node, shapes: readonly (readonly number[])[], addresses: readonly bigint[]): void {
    const operands = node.inputs.map(({ dtype, shape }, i) => {
      const sizes = shape.map(Number);
      return { dtype, shape: sizes, data: this.#read(addresses[i]!, { dtype, shape: sizes }) };
    });
    const results = opOf(node).evaluate(operands, node.attributes, (dim) =>
      typeof dim === 'number' ? dim : undefined,
    );
    for (const [i, { dtype }] of node.outputs.entries()) {
      const { data } = tensorOf(dtype, results[i]!.shape, results[i]!.data);
      this.#write(
        addresses[node.inputs.length + i]!,
        { dtype, shape: shapes[i]! },
        [...data].map(Number),
      );
    }
  }

  #read(address: bigint, { dtype, shape }: Type): Float64Array {
    const bytes = bytesPerElement(dtype);
    return Float64Array.from(
      { length: sizeOf(shape) },
      (_, i) => this.#memory[Number(address) + i * bytes]!,
    );
  }

  #write(address: bigint, { dtype, shape }: Type, numbers: ArrayLike<number>): void {
    const bytes = bytesPerElement(dtype);
    const start = Number(address);
    this.#memory.fill(NaN, start, start + sizeOf(shape) * bytes);
    for (let i = 0; i < numbers.length; i++) this.#memory[start + i * bytes] = numbers[i]!;
  }
}

const [rows, width, inner] = [6, 8, 12] as const;

/** A gated block with a residual, whose shapes are numbers. */
function block(): Graph {
  const g = new GraphBuilder('block');
  const x = g.input('x', 'f32', [rows, width]);
  const normed = g.rmsNorm(x, g.input('norm', 'f32', [width]), 1e-6);
  const linear = (name: string, from: number, to: number, y = normed) =>
    g.linear(y, g.input(name, 'f32', [to, from]));
  const gated = g.mul(g.silu(linear('gate', width, inner)), linear('up', width, inner));
  const left = g.softmax(g.reshape(gated, [rows * 3, inner / 3]), -1);
  const sum = g.add(x, linear('down', inner, width, g.reshape(left, [rows, inner])));
  g.output('y', sum);
  g.output('flat', g.reshape(sum, [rows * width]));
  g.output('same', x);
  return g.build();
}

/** Sums that start as values: some which nobody reads later, and some which are read again. */
function updates(): Graph {
  const g = new GraphBuilder('updates');
  const x = g.input('x', 'f32', [rows, width]);
  const index = g.input('index', 'i32', [2]);
  const part = (start: number) => g.slice(x, { axis: 0, start, end: start + 2 });
  const doubled = g.add(x, x);
  const once = g.addRows(doubled, index, part(0));
  g.output('twice', g.addRows(once, index, part(2)));
  g.output('difference', g.sub(doubled, x));
  const product = g.gemm(x, x, { transB: true });
  const sum = g.gemm(x, x, { transB: true, c: product });
  g.output('sums', g.gemm(sum, sum, { c: sum }));
  g.output('product', g.neg(product));
  return g.build();
}

describe('a program of kernels', () => {
  const rng = new Rng([4, 4]);
  const drawn = ({ inputs }: Graph): Record<string, Tensor> =>
    Object.fromEntries(
      inputs.map(({ name, dtype, shape }) => {
        const sizes = shape.map(Number);
        const length = sizeOf(sizes);
        const numbers = Array.from({ length }, (_, i) =>
          dtype === 'f32' ? rng.nextNormal() : 3 * i + 1,
        );
        return [name, tensorOf(dtype, sizes, numbers)];
      }),
    );
  const names = ['x', 'norm', 'gate', 'up', 'down'];
  const { forward, backward } = differentiate(block(), {
    wrt: names,
    save: 'costly',
    accumulate: ['gate', 'down'],
  });

  for (const graph of [block(), forward, backward, updates()]) {
    it(`gives the numbers of its graph, with outputs bound or not: ${graph.name}`, () => {
      const inputs = drawn(graph);
      const expected = interpret(graph, inputs);
      const outputs = Object.keys(expected);
      for (const asked of [outputs, ...outputs.map((name) => [name])]) {
        const card = new ReferenceCard();
        using program = card.program(graph);
        using bound = program.bind();
        for (const [name, tensor] of Object.entries(inputs)) bound.input(name, card.put(tensor));
        const views = asked.map((name) => card.take(expected[name]!.dtype, expected[name]!.shape));
        asked.forEach((name, i) => bound.output(name, views[i]!));
        // A second run has the plan of the first.
        for (let run = 0; run < 2; run++) bound.run();
        for (const [i, name] of asked.entries()) {
          assert.deepEqual(numbersOf(card.read(views[i]!)), numbersOf(expected[name]!), name);
        }
      }
    });
  }

  it('adds gradients up where they are', () => {
    const card = new ReferenceCard();
    const inputs = drawn(backward);
    const expected = interpret(backward, inputs);
    using program = card.program(backward);
    using bound = program.bind();
    const views = new Map(Object.entries(inputs).map(([name, tensor]) => [name, card.put(tensor)]));
    for (const [name, view] of views) bound.input(name, view);
    for (const name of ['gate', 'down']) bound.output(`grad.${name}`, views.get(`accum.${name}`)!);
    bound.run();
    for (const name of ['gate', 'down']) {
      const got = card.read(views.get(`accum.${name}`)!);
      assert.deepEqual(numbersOf(got), numbersOf(expected[`grad.${name}`]!));
    }
  });

  it('takes memory for what lives together, not for all that there is', () => {
    const g = new GraphBuilder('chain');
    let x = g.input('x', 'f32', [64]);
    for (let i = 0; i < 8; i++) x = g.neg(x);
    g.output('y', x);
    const graph = g.build();
    const card = new ReferenceCard();
    using program = card.program(graph);
    const inputs = drawn(graph);
    program
      .bind()
      .input('x', card.put(inputs['x']!))
      .output('y', card.take('f32', [64]))
      .run();
    // Each step reads one tensor of 256 bytes and writes another.
    assert.equal(card.scratchBytes, 2 * 256);
  });

  it('says what does not fit', () => {
    const card = new ReferenceCard();
    using program = card.program(updates());
    const bound = program.bind();
    assert.throws(() => bound.input('z', card.take('f32', [1])), {
      code: 'GRAPH_INVALID',
      message: /x, index/,
    });
    assert.throws(() => bound.input('x', card.take('f32', [rows])), { code: 'SHAPE_MISMATCH' });
    assert.throws(() => bound.input('index', card.take('f32', [2])), { code: 'DTYPE_MISMATCH' });
    assert.throws(() => bound.run(), { code: 'GRAPH_INVALID', message: /no input x/ });
  });
});
