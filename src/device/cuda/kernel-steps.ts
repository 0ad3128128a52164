import type { KernelNode } from '../../graph/schedule.ts';
import type {
  InPlace,
  Kernel,
  Launch,
  LibraryProduct,
  ProductBatch,
  Shapes,
  Step,
} from '../../graph/kernel.ts';
import type { ValueType } from '../../graph/ir.ts';
import { shapesOf } from '../../graph/shape.ts';
import { byteLengthOf } from '../../tensor/tensor.ts';
import { Cublas, type Operand } from './cublas.ts';
import type { Cudart } from './cudart.ts';
import { Driver, type DeviceFunction } from './driver.ts';
import type { NodeTimes } from './node-times.ts';
import { Nvrtc } from './nvrtc.ts';

/** A step with its geometry for tensors of certain shapes. */
type PlannedStep =
  | { readonly kernel: Kernel; readonly launch: Launch }
  | { readonly inPlace: InPlace }
  | { readonly product: LibraryProduct; readonly batches: readonly ProductBatch[] };

/** The steps of a node, planned for tensors of certain shapes. */
export interface NodePlan {
  readonly outputs: Shapes;
  readonly steps: readonly PlannedStep[];
}

/** Runs kernel nodes on one stream: kernels of our own and calls of cuBLAS. */
export class KernelSteps implements Disposable {
  readonly #cudart: Cudart;
  readonly #driver = new Driver();
  readonly #nvrtc = new Nvrtc();
  readonly #cublas: Cublas;
  /** Compiled kernels by their entries. */
  readonly #kernels = new Map<string, DeviceFunction>();
  readonly #owned = new DisposableStack();
  /** Timer of the nodes, while they are timed. */
  times: NodeTimes | undefined;

  /** @throws DEVICE_MISSING without the compiler, the driver or cuBLAS */
  constructor(cudart: Cudart) {
    this.#cudart = cudart;
    this.#cublas = this.#owned.use(new Cublas(cudart));
  }

  /** Compiles the kernels of nodes that are to run, all at once. Each is compiled for the first graph that has it. */
  prepare(nodes: readonly KernelNode[]): void {
    const kernels = nodes.flatMap(({ steps }) => steps.filter(isKernel));
    const missing = new Map(
      kernels.filter(({ entry }) => !this.#kernels.has(entry)).map((k) => [k.entry, k]),
    );
    if (missing.size === 0) return;
    const { architecture } = this.#cudart;
    const { cubin, entries } = this.#nvrtc.compile([...missing.values()], architecture);
    const module = this.#driver.load(cubin);
    this.#owned.defer(() => this.#driver.unload(module));
    for (const entry of entries) this.#kernels.set(entry, this.#driver.find(module, entry));
  }

  /**
   * Queues a node that is prepared.
   *
   * @param addresses those of the inputs, then those of the outputs
   */
  run(node: KernelNode, plan: NodePlan, addresses: readonly bigint[]): void {
    this.times?.start(node.type);
    for (const step of plan.steps) {
      if ('kernel' in step) {
        const kernel = this.#kernels.get(step.kernel.entry)!;
        this.#driver.launch(kernel, step.launch, addresses, this.#cudart.stream);
      } else if ('inPlace' in step) {
        const { input, output } = step.inPlace;
        const { dtype } = node.outputs[output]!;
        const byteLength = byteLengthOf({ dtype, shape: plan.outputs[output]! });
        this.copy(addresses[input]!, addresses[node.inputs.length + output]!, byteLength);
      } else {
        this.#multiply(node, plan, step, addresses);
      }
    }
    this.times?.end();
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }

  /** Queues a copy on the card; none where both are the same memory. */
  copy(from: bigint, to: bigint, byteLength: number): void {
    if (from !== to && byteLength > 0) this.#cudart.copy(from, to, byteLength, 'deviceToDevice');
  }

  #multiply(
    { inputs, outputs }: KernelNode,
    plan: NodePlan,
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
      this.copy(addend, y.address, byteLength);
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
 * @param graphInputs the inputs of the node's graph
 * @param run         their shapes
 */
export function planOf(node: KernelNode, graphInputs: readonly ValueType[], run: Shapes): NodePlan {
  const inputs = shapesOf(node.inputs, graphInputs, run);
  const outputs = shapesOf(node.outputs, graphInputs, run);
  const steps = node.steps.map((step): PlannedStep =>
    isKernel(step)
      ? { kernel: step, launch: step.launch(inputs, outputs) }
      : 'input' in step
        ? { inPlace: step }
        : { product: step, batches: step.batches(inputs, outputs) },
  );
  return { outputs, steps };
}
