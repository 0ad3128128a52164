import { shapesOf } from '../../src/graph/shape.ts';
import type { Session } from '../../src/ort/session.ts';
import { zeros, type Tensor } from '../../src/tensor/tensor.ts';

/** Runs a session once, from tensors to new tensors, whose shapes follow from those of the inputs. */
export function runSession(
  session: Session,
  inputs: Readonly<Record<string, Tensor>>,
): Record<string, Tensor> {
  const shapes = shapesOf(
    session.outputs,
    session.inputs,
    session.inputs.map(({ name }) => inputs[name]!.shape),
  );
  const outputs = session.outputs.map(({ name, dtype }, i): [string, Tensor] => [
    name,
    zeros(dtype, shapes[i]!),
  ]);
  using binding = session.bind();
  for (const [name, tensor] of Object.entries(inputs)) binding.input(name, tensor);
  for (const [name, tensor] of outputs) binding.output(name, tensor);
  binding.run();
  return Object.fromEntries(outputs);
}
