import assert from 'node:assert/strict';
import type { CxmindError } from '../../../src/errors.ts';
import type { Binding } from '../../../src/ort/binding.ts';
import { Runtime } from '../../../src/ort/runtime.ts';
import { zeros } from '../../../src/tensor/tensor.ts';
import { onnxModel, type OnnxNode } from '../../support/onnx-model.ts';

const WIDTH = 384;
const DEPTH = 200;

/** A chain of products that takes long enough to be stopped in the middle. */
const chain = onnxModel(
  { x: ['f32', [WIDTH, WIDTH]], w: ['f32', [WIDTH, WIDTH]] },
  { y: ['f32', [WIDTH, WIDTH]] },
  Array.from({ length: DEPTH }, (_, i): OnnxNode => {
    const name = (at: number): string => (at === 0 ? 'x' : at === DEPTH ? 'y' : `h${at}`);
    return { op: 'MatMul', inputs: [name(i), 'w'], outputs: [name(i + 1)] };
  }),
);

describe('Binding.runAsync', () => {
  const runtime = Runtime.open({ threads: 2 });
  after(() => {
    runtime[Symbol.dispose]();
  });

  function bound(): { run: Binding; dispose: () => void; y: Float32Array } {
    const session = runtime.compile(chain, { name: 'chain' });
    const [x, w, y] = [0, 0, 0].map(() => zeros('f32', [WIDTH, WIDTH]));
    for (let i = 0; i < WIDTH; i++) w!.data[i * WIDTH + i] = 1;
    x!.data.fill(1);
    const binding = session.bind().input('x', x!).input('w', w!).output('y', y!);
    return {
      run: binding,
      y: y!.data,
      dispose: () => {
        binding[Symbol.dispose]();
        session[Symbol.dispose]();
      },
    };
  }

  it('stops a run when the signal says so, and can run again after', async () => {
    const { run, dispose, y } = bound();
    const controller = new AbortController();
    const running = run.runAsync({ signal: controller.signal });
    setTimeout(() => {
      controller.abort();
    }, 2);
    await assert.rejects(running, { code: 'RUNTIME_CANCELLED', message: 'chain: run cancelled' });
    assert.equal(y[0], 0);
    await run.runAsync({ signal: new AbortController().signal });
    assert.equal(y[0], 1);
    dispose();
  });

  it('does not start when the signal has already spoken', async () => {
    const { run, dispose, y } = bound();
    await assert.rejects(run.runAsync({ signal: AbortSignal.abort() }), {
      code: 'RUNTIME_CANCELLED',
    });
    assert.equal(y[0], 0);
    dispose();
  });

  it('leaves the thread free, refuses a second use meanwhile, and outlives its disposal', async () => {
    const { run, dispose, y } = bound();
    const running = run.runAsync();
    assert.throws(
      () => {
        run.run();
      },
      (error: CxmindError) => /binding is in use by a run/.test(error.message),
    );
    dispose();
    let ticks = 0;
    const clock = setInterval(() => ticks++, 1);
    await running;
    clearInterval(clock);
    assert.ok(ticks > 0);
    assert.equal(y[0], 1);
  });
});
