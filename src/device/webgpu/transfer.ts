import { GraphBuilder } from '../../graph/builder.ts';
import { encode } from '../../graph/encode.ts';
import type { DeviceMemory } from '../../ort/device-memory.ts';
import type { DeviceTensor } from '../../ort/device-tensor.ts';
import type { Runtime } from '../../ort/runtime.ts';
import type { Session } from '../../ort/session.ts';
import type { DType } from '../../tensor/dtype.ts';
import { sizeOf, type Tensor } from '../../tensor/tensor.ts';

/**
 * The way between this process's memory and the card's: runs of a graph that changes nothing, whose input or output is
 * bound to memory of the host, which ONNX Runtime then copies.
 */
export class Transfer implements Disposable {
  readonly #runtime: Runtime;
  readonly #sessions = new Map<DType, Session>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  memory(): DeviceMemory {
    return this.#session('f32').memory('WebGPU_Buffer');
  }

  upload(from: Tensor, to: DeviceTensor): void {
    if (sizeOf(from.shape) === 0) return;
    this.#run(from.dtype, from, to);
  }

  download(from: DeviceTensor, to: Tensor): void {
    if (sizeOf(from.shape) === 0) return;
    this.#run(from.dtype, from, to);
  }

  [Symbol.dispose](): void {
    for (const session of this.#sessions.values()) session[Symbol.dispose]();
  }

  #run(dtype: DType, from: Tensor | DeviceTensor, to: Tensor | DeviceTensor): void {
    const shape = [sizeOf(from.shape)];
    using binding = this.#session(dtype).bind();
    binding
      .input('x', { ...from, shape })
      .output('y', { ...to, shape })
      .run();
  }

  #session(dtype: DType): Session {
    const known = this.#sessions.get(dtype);
    if (known !== undefined) return known;
    const g = new GraphBuilder(`transfer-${dtype}`);
    // A graph has to have a node that makes its output.
    const x = g.reshape(g.input('x', dtype, ['n']), ['n', 1]);
    g.output('y', g.reshape(x, ['n']));
    const options = { name: `transfer-${dtype}`, device: 'webgpu' } as const;
    const session = this.#runtime.compile(encode(g.build()), options);
    this.#sessions.set(dtype, session);
    return session;
  }
}
