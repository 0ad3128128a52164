import type { KernelNode } from '../../graph/schedule.ts';
import type { Shapes } from '../../graph/kernel.ts';
import type { CustomOp } from '../../ort/custom-op.ts';
import type { ValueType } from '../../graph/ir.ts';
import { areEqualShapes } from '../../graph/shape.ts';
import { planOf, type KernelSteps, type NodePlan } from './kernel-steps.ts';

/** The kernel nodes of a model that ONNX Runtime runs, as custom ops. */
export interface KernelModel {
  readonly ops: readonly CustomOp[];
  /** Sets the shapes of the model's inputs for the runs that follow. */
  readonly begin: (inputs: Shapes) => void;
}

/** Makes custom ops of the kernel nodes of a model, and compiles their kernels. */
export function kernelModel(
  inputs: readonly ValueType[],
  nodes: readonly KernelNode[],
  steps: KernelSteps,
): KernelModel {
  steps.prepare(nodes);
  let run: Shapes = [];
  const customOp = (node: KernelNode): CustomOp => {
    // Layer after layer has the same shapes, so only the last plan is worth keeping.
    let [plan, of]: [NodePlan | undefined, Shapes] = [undefined, run];
    return {
      type: node.type,
      inputs: node.inputs.map(({ dtype }) => dtype),
      outputs: node.outputs.map(({ dtype }) => dtype),
      compute: (call) => {
        if (plan === undefined || of !== run) plan = planOf(node, inputs, run);
        of = run;
        steps.run(node, plan, [
          ...node.inputs.map((_, i) => call.address(i)),
          ...plan.outputs.map((shape, i) => call.output(i, shape)),
        ]);
      },
    };
  };
  return {
    ops: nodes.map(customOp),
    begin: (shapes) => {
      if (!areEqualShapes(run, shapes)) run = shapes;
    },
  };
}
