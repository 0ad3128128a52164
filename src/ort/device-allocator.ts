/** The memory of devices in ONNX Runtime's terms: its description, and its allocator. */
import type { Context } from './context.ts';
import { Handle } from './handle.ts';
import type { Native } from './native.ts';

/** Names that ONNX Runtime gives to the memory of devices. */
export type MemoryName = 'WebGPU_Buffer' | 'Cuda';

/** `OrtDeviceAllocator` */
const DEVICE_ALLOCATOR = 0;
/** `OrtMemTypeDefault` */
export const DEFAULT_MEMORY = 0;

/** A description of a device's memory (OrtMemoryInfo), which `owner` releases. */
export function memoryInfo(
  native: Native,
  name: MemoryName | 'CudaPinned',
  ordinal: number,
  owner: DisposableStack,
): bigint {
  const ort = native.functions;
  const info = native.out(name, (slot) =>
    ort.CreateMemoryInfo(name, DEVICE_ALLOCATOR, ordinal, DEFAULT_MEMORY, slot),
  );
  return owner.adopt(info, ort.ReleaseMemoryInfo);
}

/** An allocator of a device's memory (OrtAllocator), which belongs to a provider. `Session.allocator` makes it. */
export class DeviceAllocator implements Disposable {
  /** ONNX Runtime's description of the memory. */
  readonly info: bigint;
  readonly #context: Context;
  readonly #name: MemoryName;
  readonly #handle: Handle;

  constructor(context: Context, session: Handle, name: MemoryName, ordinal: number) {
    const { native } = context;
    const ort = native.functions;
    using made = new DisposableStack();
    const info = memoryInfo(native, name, ordinal, made);
    const allocator = native.out(name, (slot) => ort.CreateAllocator(session.pointer, info, slot));
    made.adopt(allocator, ort.ReleaseAllocator);
    made.use(session.hold());
    this.info = info;
    this.#context = context;
    this.#name = name;
    this.#handle = new Handle(`memory ${name}`, allocator, made.move());
  }

  /**
   * Allocates memory of the device, with arbitrary contents.
   *
   * @throws DEVICE_OUT_OF_MEMORY
   */
  allocate(byteLength: number): bigint {
    const { native } = this.#context;
    return native.out(`${this.#name}: ${byteLength} bytes`, (slot) =>
      native.functions.AllocatorAlloc(this.#handle.pointer, byteLength, slot),
    );
  }

  free(address: bigint): void {
    const { native } = this.#context;
    native.check(native.functions.AllocatorFree(this.#handle.pointer, address), this.#name);
  }

  [Symbol.dispose](): void {
    this.#handle[Symbol.dispose]();
  }
}
