import koffi from 'koffi';
import { loadLibrary } from '../../src/native.ts';
import { Runtime } from '../../src/ort/runtime.ts';
import { zeros } from '../../src/tensor/tensor.ts';
import { onnxModel } from './onnx-model.ts';
import { runSession } from './run-session.ts';

/**
 * A program that makes, uses and releases native objects again and again, and prints how many bytes
 * each kind of cycle leaves behind. Started with --expose-gc and a small young generation, so that
 * what V8 itself takes stays small.
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

/**
 * Reads how many bytes glibc's allocator has handed out in all its arenas. Resident memory would not do: V8's heap and
 * the allocator's free pages move it by more than a leak of thousands of cycles.
 */
function allocatorReader(): () => number {
  const counts = ['arena', 'ordblks', 'smblks', 'hblks', 'hblkhd', 'usmblks', 'fsmblks'];
  const fields = [...counts, 'uordblks', 'fordblks', 'keepcost'].map((name) => [name, 'size_t']);
  koffi.struct('mallinfo2', Object.fromEntries(fields) as Record<string, string>);
  const mallinfo2 = loadLibrary('libc.so.6').func('mallinfo2 mallinfo2()');
  return () => {
    const { hblkhd, uordblks } = mallinfo2() as { hblkhd: number; uordblks: number };
    return hblkhd + uordblks;
  };
}

const allocatedBytes = allocatorReader();

/** Native bytes in use once garbage is collected; native finalizers run between turns of the event loop. */
async function settledBytes(): Promise<number> {
  for (let turn = 0; turn < 3; turn++) {
    globalThis.gc?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  return allocatedBytes();
}

/** Bytes a call leaves: the median of five windows after a warm-up, because a leak grows in every window. */
async function bytesLeftBy(warmUp: number, count: number, call: () => unknown): Promise<number> {
  for (let i = 0; i < warmUp; i++) await call();
  const left: number[] = [];
  let before = await settledBytes();
  for (let window = 0; window < 5; window++) {
    for (let i = 0; i < count / 5; i++) await call();
    const now = await settledBytes();
    left.push((now - before) / (count / 5));
    before = now;
  }
  return Math.round(left.sort((a, b) => a - b)[2]!);
}

const [x, y] = [zeros('f32', [8, 4]), zeros('f32', [8, 4])];
using runtime = new Runtime({ threads: 2 });
using session = runtime.compile(model, { name: 'cycles' });
using binding = session.bind().input('x', x).output('y', y);
let turn = 0;

const left = {
  bind: await bytesLeftBy(1000, 4000, () => {
    using other = session.bind().input('x', x).output('y', y);
    other.run();
  }),
  rebind: await bytesLeftBy(1000, 4000, () => {
    binding.input('x', turn++ % 2 === 0 ? y : x).run();
  }),
  run: await bytesLeftBy(1000, 4000, () => runSession(session, { x })),
  compile: await bytesLeftBy(50, 200, () => {
    using other = runtime.compile(model);
    runSession(other, { x });
  }),
  refuse: await bytesLeftBy(50, 200, () => {
    if (!isRefused()) throw new Error('a graph of f64 is compiled');
  }),
};
process.stdout.write(JSON.stringify(left));
