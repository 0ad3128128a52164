import { Runtime } from '../../src/ort/runtime.ts';
import { zeros } from '../../src/tensor/tensor.ts';
import { onnxModel, type End } from '../support/onnx-model.ts';
import { print } from './harness.ts';

const ROUNDS = 9;

/** Costs of calling ONNX Runtime: graphs that do next to nothing, with 1 to 16 inputs. */
export function benchOrt(): void {
  using runtime = new Runtime();
  for (const inputs of [1, 4, 16]) {
    const names = Array.from({ length: inputs }, (_, i) => `x${i}`);
    const end: End = ['f32', [4]];
    const model = onnxModel(Object.fromEntries(names.map((name) => [name, end])), { y: end }, [
      { op: 'Sum', inputs: names, outputs: ['y'] },
    ]);
    using session = runtime.compile(model, { name: 'sum' });
    const tensors = [zeros('f32', [4]), zeros('f32', [4])] as const;
    using binding = session.bind().output('y', zeros('f32', [4]));
    for (const name of names) binding.input(name, tensors[0]);
    let turn = 0;
    const cases = {
      run: () => {
        binding.run();
      },
      rebindTensors: () => {
        const tensor = tensors[turn++ % 2]!;
        for (const name of names) binding.input(name, tensor);
      },
      compile: () => {
        runtime.compile(model)[Symbol.dispose]();
      },
    };
    for (const [name, call] of Object.entries(cases)) {
      const calls = name === 'compile' ? 300 : 20_000;
      microsecondsPerCall(call, calls);
      const times: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        times.push(microsecondsPerCall(call, calls));
      }
      print({ name: `ort.${name}`, params: { inputs }, unit: 'us' }, times);
    }
  }
}

function microsecondsPerCall(call: () => void, calls: number): number {
  const start = performance.now();
  for (let i = 0; i < calls; i++) call();
  return ((performance.now() - start) * 1000) / calls;
}
