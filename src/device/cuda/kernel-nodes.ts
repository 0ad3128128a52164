import type { KernelNode } from '../../graph/encode.ts';
import type {
  InPlace,
  Kernel,
  Launch,
  LibraryProduct,
  ProductBatch,
  Shapes,
  Step,
} from '../../graph/kernel.ts';
import type { CustomCall, CustomOp } from '../../ort/custom-op.ts';
import type { ValueType } from '../../graph/ir.ts';
import { shapesOf } from '../../graph/shape.ts';
import { byteLengthOf } from '../../tensor/tensor.ts';
import { Cublas, type Operand } from './cublas.ts';
import type { Cudart } from './cudart.ts';
import { Kernels } from './kernels.ts';
import type { NodeTimes } from './node-times.ts';

/** A step with its geometry for tensors of certain shapes. */
type PlannedStep =
  | { readonly kernel: Kernel; readonly launch: Launch }
  | { readonly inPlace: InPlace }
  | { readonly product: LibraryProduct; readonly batches: readonly ProductBatch[] };

/** The steps of a node, planned for tensors of certain shapes. */
interface Plan {
  readonly outputs: Shapes;
  readonly steps: readonly PlannedStep[];
}

/** The kernel nodes of a model, as custom ops. */
export interface KernelModel {
  readonly ops: readonly CustomOp[];
  /** Sets the shapes of the model's inputs for the runs that follow. */
  readonly begin: (inputs: Shapes) => void;
}

/** Runs the kernel nodes of models on one stream: kernels of our own and calls of cuBLAS. */
export class KernelNodes implements Disposable {
  readonly #cudart: Cudart;
  readonly #kernels: Kernels;
  readonly #cublas: Cublas;
  readonly #owned: DisposableStack;
  /** Timer of the nodes, while they are timed. */
  times: NodeTimes | undefined;

  /** @throws DEVICE_MISSING without the compiler, the driver or cuBLAS */
  constructor(cudart: Cudart) {
    using made = new DisposableStack();
    this.#cudart = cudart;
    this.#kernels = made.use(new Kernels(cudart.architecture));
    this.#cublas = made.use(new Cublas(cudart));
    this.#owned = made.move();
  }

  /** Compiles the kernels of a model. */
  model(inputs: readonly ValueType[], nodes: readonly KernelNode[]): KernelModel {
    this.#kernels.prepare(nodes.flatMap(({ steps }) => steps.filter(isKernel)));
    let run: Shapes = [];
    const customOp = (node: KernelNode): CustomOp => {
      // Layer after layer has the same shapes, so only the last plan is worth keeping.
      let [plan, of]: [Plan | undefined, Shapes] = [undefined, run];
      return {
        type: node.type,
        inputs: node.inputs.map(({ dtype }) => dtype),
        outputs: node.outputs.map(({ dtype }) => dtype),
        compute: (call) => {
          if (plan === undefined || of !== run) plan = planOf(node, inputs, run);
          of = run;
          this.times?.start(node.type);
          this.#run(node, plan, call);
          this.times?.end();
        },
      };
    };
    return {
      ops: nodes.map(customOp),
      begin: (shapes) => {
        if (!areEqual(run, shapes)) run = shapes;
      },
    };
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }

  #run(node: KernelNode, plan: Plan, call: CustomCall): void {
    const addresses = [
      ...node.inputs.map((_, i) => call.address(i)),
      ...plan.outputs.map((shape, i) => call.output(i, shape)),
    ];
    for (const step of plan.steps) {
      if ('kernel' in step) {
        this.#kernels.launch(step.kernel, step.launch, addresses, this.#cudart.stream);
      } else if ('inPlace' in step) {
        const { input, output } = step.inPlace;
        const { dtype } = node.outputs[output]!;
        const byteLength = byteLengthOf({ dtype, shape: plan.outputs[output]! });
        this.#keep(addresses[input]!, addresses[node.inputs.length + output]!, byteLength);
      } else {
        this.#multiply(node, plan, step, addresses);
      }
    }
  }

  /** Copies an input to the output that starts as it. */
  #keep(from: bigint, to: bigint, byteLength: number): void {
    if (from !== to && byteLength > 0) this.#cudart.copy(from, to, byteLength, 'deviceToDevice');
  }

  #multiply(
    { inputs, outputs }: KernelNode,
    plan: Plan,
    { product, batches }: { product: LibraryProduct; batches: readonly ProductBatch[] },
    addresses: readonly bigint[],
  ): void {
    const [a, b, y] = [inputs[0]!, inputs[1]!, outputs[0]!].map(({ dtype }, i): Operand => ({
      dtype,
      address: addresses[i === 2 ? inputs.length : i]!,
    })) as [Operand, Operand, Operand];
    const byteLength = byteLengthOf({ dtype: y.dtype, shape: plan.outputs[0]! });
    const addend = inputs.length > 2 ? addresses[2]! : undefined;
    if (addend === undefined) {
      // An empty sum is zero, and cuBLAS is not called for it.
      if (batches.some(({ k }) => k === 0)) this.#cudart.zero(y.address, byteLength);
    } else {
      this.#keep(addend, y.address, byteLength);
    }
    for (const batch of batches) {
      if (batch.m * batch.n * batch.k * batch.count === 0) continue;
      this.#cublas.multiply(product, batch, [a, b, y], addend === undefined ? 0 : 1);
    }
  }
}

function isKernel(step: Step): step is Kernel {
  return 'entry' in step;
}

/**
 * Plans a node.
 *
 * @param run the shapes of the model's inputs
 */
function planOf(node: KernelNode, modelInputs: readonly ValueType[], run: Shapes): Plan {
  const shapesIn = (values: readonly ValueType[]): Shapes =>
    shapesOf(
      values.map(({ shape }) => shape),
      modelInputs,
      run,
    );
  const [inputs, outputs] = [shapesIn(node.inputs), shapesIn(node.outputs)];
  const steps = node.steps.map((step): PlannedStep =>
    isKernel(step)
      ? { kernel: step, launch: step.launch(inputs, outputs) }
      : 'input' in step
        ? { inPlace: step }
        : { product: step, batches: step.batches(inputs, outputs) },
  );
  return { outputs, steps };
}

function areEqual(a: Shapes, b: Shapes): boolean {
  return (
    a.length === b.length &&
    a.every((shape, i) => shape.every((size, axis) => size === b[i]![axis]))
  );
}
