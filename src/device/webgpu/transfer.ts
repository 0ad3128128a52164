import { encode } from '../../graph/encode.ts';
import type { DeviceAllocator } from '../../ort/device-allocator.ts';
import type { DeviceTensor } from '../../ort/device-tensor.ts';
import type { Runtime } from '../../ort/runtime.ts';
import type { Session } from '../../ort/session.ts';
import type { DType } from '../../tensor/dtype.ts';
import { sizeOf, type Tensor } from '../../tensor/tensor.ts';
import { copyGraph } from '../program-operations.ts';

/**
 * Copies between this process's memory and the card's.
 *
 * A copy is a run of a graph that changes nothing. Its input or its output is bound to memory of the host, which ONNX
 * Runtime then copies.
 */
export class Transfer implements Disposable {
  readonly #runtime: Runtime;
  readonly #sessions = new Map<DType, Session>();

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** The allocator of the card's memory. */
  allocator(): DeviceAllocator {
    return this.#session('f32').allocator('WebGPU_Buffer');
  }

  copy(from: Tensor | DeviceTensor, to: Tensor | DeviceTensor): void {
    const shape = [sizeOf(from.shape)];
    if (shape[0] === 0) return;
    using binding = this.#session(from.dtype).bind();
    binding
      .input('x', { ...from, shape })
      .output('y', { ...to, shape })
      .run();
  }

  [Symbol.dispose](): void {
    for (const session of this.#sessions.values()) session[Symbol.dispose]();
  }

  #session(dtype: DType): Session {
    const known = this.#sessions.get(dtype);
    if (known !== undefined) return known;
    const options = { name: `transfer-${dtype}`, provider: 'webgpu' } as const;
    const session = this.#runtime.compile(encode(copyGraph(dtype, dtype)), options);
    this.#sessions.set(dtype, session);
    return session;
  }
}
