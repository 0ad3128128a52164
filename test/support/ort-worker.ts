import { workerData } from 'node:worker_threads';
import { Runtime } from '../../src/ort/runtime.ts';
import type { Tensor } from '../../src/tensor/tensor.ts';

/** Orders of a worker of runtime-threads.test.ts. */
export interface OrtWork {
  readonly model: Uint8Array;
  readonly x: Tensor;
  readonly y: Tensor;
  readonly runs: number;
  /** True to dispose what was opened, false to end as a worker does that is stopped. */
  readonly isTidy: boolean;
}

const { model, x, y, runs, isTidy } = workerData as OrtWork;
const runtime = new Runtime({ threads: 2 });
const session = runtime.compile(model, { name: 'worker' });
const binding = session.bind().input('x', x).output('y', y);
for (let run = 0; run < runs; run++) binding.run();
if (isTidy) {
  binding[Symbol.dispose]();
  session[Symbol.dispose]();
  runtime[Symbol.dispose]();
}
