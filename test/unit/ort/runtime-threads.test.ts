import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { Runtime } from '../../../src/ort/runtime.ts';
import { tensorOf, zeros, type Tensor } from '../../../src/tensor/tensor.ts';
import { onnxModel } from '../../support/onnx-model.ts';
import type { OrtWork } from '../../support/ort-worker.ts';
import { runSession } from '../../support/run-session.ts';

const model = onnxModel({ x: ['f32', ['T', 2]] }, { y: ['f32', ['T', 2]] }, [
  { op: 'Neg', inputs: ['x'], outputs: ['y'] },
]);

/** Negates the tensor in a worker thread, which writes to shared memory. */
async function negateInWorker(x: Tensor, isTidy: boolean): Promise<Tensor> {
  const y = zeros('f32', x.shape);
  const workerData: OrtWork = { model, x, y, runs: 20, isTidy };
  const worker = new Worker(new URL('../../support/ort-worker.ts', import.meta.url), {
    workerData,
  });
  const [code] = (await once(worker, 'exit')) as [number];
  assert.equal(code, 0);
  return y;
}

describe('Runtime in several threads', () => {
  const x = tensorOf('f32', [2, 2], [1, 2, 3, 4]);
  const negated = tensorOf('f32', [2, 2], [-1, -2, -3, -4]);

  it('works in workers at once, sharing memory with them', async () => {
    using runtime = new Runtime({ threads: 2 });
    using session = runtime.compile(model);
    const workers = [true, false, true].map((isTidy) => negateInWorker(x, isTidy));
    assert.deepEqual(runSession(session, { x })['y'], negated);
    for (const y of await Promise.all(workers)) assert.deepEqual(y, negated);
    assert.deepEqual(runSession(session, { x })['y'], negated);
  });

  it('works after the only worker that had it open ended without disposing it', async () => {
    assert.deepEqual(await negateInWorker(x, false), negated);
    using runtime = new Runtime();
    using session = runtime.compile(model);
    assert.deepEqual(runSession(session, { x })['y'], negated);
  });

  it('opens again after it was closed', () => {
    for (let i = 0; i < 5; i++) {
      using runtime = new Runtime({ threads: 1 + (i % 2), isSpinning: i % 2 === 0 });
      using session = runtime.compile(model);
      assert.deepEqual(runSession(session, { x })['y'], negated);
    }
  });
});
