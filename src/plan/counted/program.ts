import type { BoundProgram, Program, View, Views, Workspace } from '../../device/device.ts';
import { runOnce } from '../../device/run-once.ts';
import { planMemory } from '../../graph/memory-plan.ts';
import { kernelGraphOf, scheduled, type KernelGraph, type Schedule } from '../../graph/schedule.ts';
import type { Graph, Value } from '../../graph/ir.ts';
import { shapesOf } from '../../graph/shape.ts';
import type { Target } from '../../graph/target.ts';
import { byteLengthOf } from '../../tensor/tensor.ts';
import { insideBytes, type SizedUnit } from './inside.ts';
import { kernelWork, nodeWork, type Sized } from './node-work.ts';
import { sumOf, workOf, type Work } from './work.ts';
import { pairsIn, type CountedView } from './view.ts';

/** One run of a program: its work, and the bytes that its intermediate tensors take at most. */
export interface CountedRun {
  readonly work: Work;
  readonly insideBytes: number;
  /** True if that memory is the device's scratch memory, which other programs take in turn. */
  readonly isScratch: boolean;
}

/** The name of the input that tells which tokens see each other, in an attention over packed tokens. */
const SEES = /(^|\.)sees$/;

/** A graph that is never computed. Its runs are counted, from the same nodes and kernels that a device would run. */
export class CountedProgram implements Program {
  readonly graph: Graph;
  readonly #schedule: Schedule;
  readonly #kernels: KernelGraph | undefined;
  readonly #target: Target;
  readonly #onRun: (run: CountedRun) => void;
  /** Runs by the shapes of their inputs: layers have the same. */
  readonly #known = new Map<string, CountedRun>();

  constructor(graph: Graph, target: Target, onRun: (run: CountedRun) => void) {
    this.graph = graph;
    this.#target = target;
    this.#schedule = scheduled(graph, target);
    this.#kernels = target.isFusing === true ? kernelGraphOf(this.#schedule, target) : undefined;
    this.#onRun = onRun;
  }

  run(inputs: Views, workspace: Workspace, into?: Views): Views {
    return runOnce(this, inputs, workspace, into);
  }

  bind(): BoundProgram {
    const given = new Map<string, View>();
    const bound: BoundProgram = {
      input: (name, view) => {
        given.set(name, view);
        return bound;
      },
      output: () => bound,
      run: () => {
        this.#onRun(this.#counted(this.graph.inputs.map(({ name }) => given.get(name))));
      },
      [Symbol.dispose]: () => undefined,
    };
    return bound;
  }

  [Symbol.dispose](): void {}

  #counted(views: readonly (View | undefined)[]): CountedRun {
    const sees = this.graph.inputs.findIndex(({ name }) => SEES.test(name));
    const pairs = pairsIn(views[sees] as CountedView | undefined);
    const key = `${JSON.stringify(views.map((view) => view?.shape))} ${pairs}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const run = this.#count(
      views.map((view) => view?.shape ?? []),
      pairs,
    );
    this.#known.set(key, run);
    return run;
  }

  #count(shapes: readonly (readonly number[])[], pairs: number): CountedRun {
    const { graph, units } = this.#schedule;
    const sized = (values: readonly Value[]): Sized[] => {
      const inNumbers = shapesOf(values, this.graph.inputs, shapes);
      return values.map(({ dtype }, i) => ({ dtype, shape: inNumbers[i]! }));
    };
    const works: Work[] = [];
    const run: SizedUnit[] = [];
    for (const unit of units) {
      const { inputs, outputs } = unit;
      const [inputSizes, outputSizes] = [sized(inputs), sized(outputs)];
      const isKernel = 'steps' in unit;
      const node = { inputs: inputSizes, outputs: outputSizes, pairs };
      works.push(
        isKernel
          ? kernelWork(inputSizes, outputSizes)
          : nodeWork({ op: unit.op, attributes: unit.attributes, ...node }),
      );
      run.push({ op: isKernel ? null : unit.op, inputs, outputs, outputSizes });
    }
    const kernels = this.#kernels;
    return {
      work: sumOf([workOf({ programs: 1 }), ...works]),
      insideBytes:
        kernels === undefined
          ? insideBytes(graph, run, this.#target.name === 'cpu')
          : scratchBytes(kernels, (value) => byteLengthOf(sized([value])[0]!)),
      isScratch: kernels !== undefined,
    };
  }
}

/** Scratch memory of a graph of kernels, all of whose outputs are asked for. */
function scratchBytes(kernels: KernelGraph, bytesOfValue: (value: Value) => number): number {
  const { graph, sourceOf } = kernels;
  const outputs = graph.outputs.map(({ value }) => sourceOf(value));
  const outside = new Set([...graph.inputs, ...outputs].map(({ id }) => id));
  const isOutside = ({ id }: Value): boolean => outside.has(id) || graph.constants.has(id);
  return planMemory(kernels, isOutside, bytesOfValue).byteLength;
}
