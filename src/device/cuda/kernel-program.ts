import type { Graph, Value } from '../../graph/ir.ts';
import type { Shapes } from '../../graph/kernel.ts';
import { planMemory } from '../../graph/memory-plan.ts';
import type { KernelGraph, KernelNode } from '../../graph/schedule.ts';
import { areEqualShapes, shapesOf } from '../../graph/shape.ts';
import { CxmindError } from '../../errors.ts';
import { checkFits, ioNamed, type IoInfo } from '../../ort/io-info.ts';
import { byteLengthOf, type Tensor } from '../../tensor/tensor.ts';
import type { BoundProgram, Program, View, Views, Workspace } from '../device.ts';
import { runOnce } from '../run-once.ts';
import { planOf, type KernelSteps, type NodePlan } from './kernel-steps.ts';
import { deviceAddressOf, type CudaView } from './view.ts';

/** The parts of a card that its programs of kernels share. */
export interface KernelStage {
  readonly steps: KernelSteps;
  /** The address of scratch memory for work that is queued next. */
  scratch(byteLength: number): bigint;
  /** Uploads a constant. The caller disposes it. */
  constant(tensor: Tensor): CudaView & Disposable;
  /** Calls `queue`, which queues a run of a program, and tells whoever observes runs. */
  observed(name: string, queue: () => void): void;
}

/** Memory of a value in a run: an offset into one of the run's blocks, by number. */
interface Place {
  readonly block: number;
  readonly offset: bigint;
}

/** A run for inputs of certain shapes. */
interface Plan {
  readonly shapes: Shapes;
  /** Outputs that the run writes, by name. */
  readonly bound: string;
  readonly nodes: readonly {
    readonly node: KernelNode;
    readonly plan: NodePlan;
    readonly places: readonly Place[];
  }[];
  /** Outputs that are other values: inputs, constants, or outputs under another name. */
  readonly copies: readonly { readonly from: Place; readonly to: Place; readonly bytes: number }[];
  readonly scratchBytes: number;
}

/**
 * A graph of kernels, which run without ONNX Runtime.
 *
 * Intermediate tensors lie in the card's scratch memory, at places that are planned for the shapes of a run.
 */
export class KernelProgram implements Program {
  readonly graph: Graph;
  readonly #kernels: KernelGraph;
  /** Inputs and outputs by name. A mixture's layer has some eight hundred. */
  readonly #inputs: ReadonlyMap<string, IoInfo>;
  readonly #outputs: ReadonlyMap<string, IoInfo>;
  readonly #stage: KernelStage;
  readonly #constants: ReadonlyMap<number, CudaView & Disposable>;
  /** Layer after layer has the same shapes, so only the last plan is worth keeping. */
  #plan: Plan | undefined;

  /** @param graph the graph as it was given, whose inputs and outputs are the program's */
  constructor(graph: Graph, kernels: KernelGraph, stage: KernelStage) {
    this.graph = graph;
    this.#kernels = kernels;
    this.#inputs = new Map(graph.inputs.map((input) => [input.name, input]));
    this.#outputs = new Map(graph.outputs.map(({ name, value }) => [name, { ...value, name }]));
    this.#stage = stage;
    stage.steps.prepare(kernels.nodes);
    const { sourceOf } = kernels;
    const { constants, outputs } = kernels.graph;
    const read = [...kernels.nodes.flatMap(({ inputs }) => inputs), ...outputs.map((o) => o.value)];
    const wanted = new Set(read.map((value) => sourceOf(value).id));
    this.#constants = new Map(
      [...constants]
        .filter(([id]) => wanted.has(id))
        .map(([id, tensor]) => [id, stage.constant(tensor)]),
    );
  }

  run(inputs: Views, workspace: Workspace, into?: Views): Views {
    return runOnce(this, inputs, workspace, into);
  }

  bind(): BoundProgram {
    const [inputs, outputs] = [new Map<string, View>(), new Map<string, View>()];
    const bound: BoundProgram = {
      input: (name, view) => {
        checkFits(ioNamed(this.#inputs, name, 'input', this.graph.name), view, this.graph.name);
        inputs.set(name, view);
        return bound;
      },
      output: (name, view) => {
        checkFits(ioNamed(this.#outputs, name, 'output', this.graph.name), view, this.graph.name);
        outputs.set(name, view);
        return bound;
      },
      run: () => {
        this.#stage.observed(this.graph.name, () => {
          this.#queue(inputs, outputs);
        });
      },
      [Symbol.dispose]: () => undefined,
    };
    return bound;
  }

  [Symbol.dispose](): void {
    for (const view of this.#constants.values()) view[Symbol.dispose]();
  }

  #queue(inputs: ReadonlyMap<string, View>, outputs: ReadonlyMap<string, View>): void {
    const { graph } = this.#kernels;
    const given = graph.inputs.map(({ name }) => {
      const view = inputs.get(name);
      if (view !== undefined) return view;
      throw new CxmindError('GRAPH_INVALID', `${graph.name}: no input ${name}`);
    });
    const shapes = given.map(({ shape }) => shape);
    const asked = graph.outputs.filter(({ name }) => outputs.has(name));
    const bound = asked.map(({ name }) => name).join();
    if (this.#plan?.bound !== bound || !areEqualShapes(this.#plan.shapes, shapes)) {
      this.#plan = this.#planned(shapes, bound, asked);
    }
    const { nodes, copies, scratchBytes } = this.#plan;
    const blocks = [
      this.#stage.scratch(scratchBytes),
      ...given.map(deviceAddressOf),
      ...asked.map(({ name }) => deviceAddressOf(outputs.get(name)!)),
      ...[...this.#constants.values()].map(deviceAddressOf),
    ];
    const at = ({ block, offset }: Place): bigint => blocks[block]! + offset;
    for (const { node, plan, places } of nodes) this.#stage.steps.run(node, plan, places.map(at));
    for (const { from, to, bytes } of copies) this.#stage.steps.copy(at(from), at(to), bytes);
  }

  #planned(shapes: Shapes, bound: string, asked: Graph['outputs']): Plan {
    const { graph, nodes, sourceOf } = this.#kernels;
    const owners = new Map<number, Place>();
    const own = (id: number, block: number): void => {
      if (!owners.has(id)) owners.set(id, { block, offset: 0n });
    };
    graph.inputs.forEach(({ id }, i) => own(id, 1 + i));
    const firstOutput = 1 + graph.inputs.length;
    const firstConstant = firstOutput + asked.length;
    [...this.#constants.keys()].forEach((id, i) => own(id, firstConstant + i));
    asked.forEach(({ value }, i) => own(sourceOf(value).id, firstOutput + i));
    const bytesOf = (value: Value): number => {
      const [shape] = shapesOf([value], graph.inputs, shapes);
      return byteLengthOf({ dtype: value.dtype, shape: shape! });
    };
    const isOutside = (value: Value): boolean => owners.has(sourceOf(value).id);
    const { offsets, byteLength } = planMemory(this.#kernels, isOutside, bytesOf);
    const placeOf = (value: Value): Place => {
      const { id } = sourceOf(value);
      return owners.get(id) ?? { block: 0, offset: BigInt(offsets.get(id)!) };
    };
    return {
      shapes,
      bound,
      nodes: nodes.map((node) => ({
        node,
        plan: planOf(node, graph.inputs, shapes),
        places: [...node.inputs, ...node.outputs].map(placeOf),
      })),
      copies: asked.flatMap(({ value }, i) => {
        const [from, to] = [placeOf(value), { block: firstOutput + i, offset: 0n }];
        return from.block === to.block ? [] : [{ from, to, bytes: bytesOf(value) }];
      }),
      scratchBytes: byteLength,
    };
  }
}
