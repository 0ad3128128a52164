import { Runtime } from '../../src/ort/runtime.ts';
import { zeros } from '../../src/tensor/tensor.ts';
import { onnxModel } from './onnx-model.ts';

/**
 * A program that makes, uses and releases native objects again and again, and prints how many bytes
 * each kind of cycle leaves behind. Started with --expose-gc and a small young generation, so that
 * what remains of the process's growth is native.
 */
const model = onnxModel({ x: ['f32', ['T', 4]] }, { y: ['f32', ['T', 4]] }, [
  { op: 'Relu', inputs: ['x'], outputs: ['h'] },
  { op: 'Neg', inputs: ['h'], outputs: ['y'] },
]);

/** One that ONNX Runtime compiles and cxmind then refuses. */
const doubles = onnxModel({ x: ['f64', [4]] }, { y: ['f64', [4]] }, [
  { op: 'Neg', inputs: ['x'], outputs: ['y'] },
]);

function isRefused(): boolean {
  try {
    runtime.compile(doubles)[Symbol.dispose]();
    return false;
  } catch {
    return true;
  }
}

/** Resident bytes once garbage is collected; native finalizers run between turns of the event loop. */
async function residentBytes(): Promise<number> {
  for (let turn = 0; turn < 3; turn++) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return process.memoryUsage.rss();
}

/**
 * Bytes a call leaves: the least of four windows after a warm-up, because a leak grows in every window
 * and the allocator's own pools do not.
 */
async function bytesLeftBy(warmUp: number, count: number, call: () => unknown): Promise<number> {
  const windows = 4;
  for (let i = 0; i < warmUp; i++) await call();
  let before = await residentBytes();
  let least = Infinity;
  for (let window = 0; window < windows; window++) {
    for (let i = 0; i < count / windows; i++) await call();
    const now = await residentBytes();
    least = Math.min(least, (now - before) / (count / windows));
    before = now;
  }
  return Math.round(least);
}

const [x, y] = [zeros('f32', [8, 4]), zeros('f32', [8, 4])];
using runtime = Runtime.open({ threads: 2 });
using session = runtime.compile(model, { name: 'cycles' });
using binding = session.bind().input('x', x).output('y', y);
let turn = 0;

const left = {
  bind: await bytesLeftBy(2000, 10_000, () => {
    using other = session.bind().input('x', x).output('y', y);
    other.run();
  }),
  rebind: await bytesLeftBy(2000, 10_000, () => {
    binding.input('x', turn++ % 2 === 0 ? y : x).run();
  }),
  run: await bytesLeftBy(2000, 8000, () => session.run({ x })),
  compile: await bytesLeftBy(100, 400, () => {
    using other = runtime.compile(model);
    other.run({ x });
  }),
  refuse: await bytesLeftBy(100, 400, () => {
    if (!isRefused()) throw new Error('a graph of f64 is compiled');
  }),
};
process.stdout.write(JSON.stringify(left));
