import { Runtime } from '../../src/ort/runtime.ts';
import { zeros } from '../../src/tensor/tensor.ts';
import { onnxModel, type End } from '../support/onnx-model.ts';
import { print } from './harness.ts';

const ROUNDS = 9;

/** What the way into ONNX Runtime costs: graphs that do next to nothing, with 1 to 16 inputs. */
export async function benchOrt(): Promise<void> {
  using runtime = Runtime.open();
  for (const inputs of [1, 4, 16]) {
    const names = Array.from({ length: inputs }, (_, i) => `x${i}`);
    const end: End = ['f32', [4]];
    const model = onnxModel(Object.fromEntries(names.map((name) => [name, end])), { y: end }, [
      { op: 'Sum', inputs: names, outputs: ['y'] },
    ]);
    using session = runtime.compile(model, { name: 'sum' });
    const tensors = [zeros('f32', [4]), zeros('f32', [4])] as const;
    using first = runtime.value(tensors[0]);
    using second = runtime.value(tensors[1]);
    using binding = session.bind().output('y', zeros('f32', [4]));
    for (const name of names) binding.input(name, first);
    let turn = 0;
    const rebind = (sources: readonly [typeof first, typeof first] | typeof tensors): void => {
      const source = sources[turn++ % 2]!;
      for (const name of names) binding.input(name, source);
    };
    const cases = {
      run: () => {
        binding.run();
      },
      runAsync: () => binding.runAsync(),
      rebindValues: () => {
        rebind([first, second]);
      },
      rebindTensors: () => {
        rebind(tensors);
      },
      compile: () => {
        runtime.compile(model)[Symbol.dispose]();
      },
    };
    const slow = new Set(['runAsync', 'compile']);
    for (const [name, call] of Object.entries(cases)) {
      const calls = slow.has(name) ? 300 : 20_000;
      await microsecondsPerCall(call, calls);
      const times = [];
      for (let round = 0; round < ROUNDS; round++) {
        times.push(await microsecondsPerCall(call, calls));
      }
      print({ name: `ort.${name}`, params: { inputs }, unit: 'us' }, times);
    }
  }
}

async function microsecondsPerCall(
  call: () => Promise<void> | void,
  calls: number,
): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < calls; i++) {
    const pending = call();
    if (pending instanceof Promise) await pending;
  }
  return ((performance.now() - start) * 1000) / calls;
}
