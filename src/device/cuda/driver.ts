import { CxmindError } from '../../errors.ts';
import type { Launch } from '../../graph/kernel.ts';
import { addressOf } from '../../native.ts';
import { define, openLibrary, type Code, type Library, type Out } from './library.ts';

/** Most bytes of a kernel's arguments, by CUDA 12.1 and later. */
const MOST_ARGUMENT_BYTES = 32_764;
/** `CU_LAUNCH_PARAM_BUFFER_POINTER` and `…_BUFFER_SIZE`, each followed by an address, and `CU_LAUNCH_PARAM_END`. */
const [BUFFER, BUFFER_SIZE, END] = [1n, 2n, 0n];
/** Bytes of shared memory that a block may have by default. */
const PLAIN_SHARED_BYTES = 48 << 10;
/** `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES` */
const MOST_SHARED_BYTES = 8;

type Dim3 = [x: number, y: number, z: number];

/** A kernel that is loaded on the card. */
export interface DeviceFunction {
  readonly entry: string;
  readonly handle: bigint;
  /** Bytes of shared memory that a block may ask for. */
  sharedBytes: number;
}

/**
 * Loads the driver's library.
 *
 * @throws DEVICE_MISSING
 */
export function openDriver(): Library {
  const wayOut = 'where there is a card, install it; `nvidia-smi` shows whether it runs';
  return openLibrary("NVIDIA's driver", ['libcuda.so.1'], wayOut);
}

/** The part of CUDA's driver that loads and launches kernels, in the thread's current context. */
export class Driver {
  readonly #out = new BigUint64Array(new SharedArrayBuffer(8));
  readonly #arguments = new DataView(new SharedArrayBuffer(MOST_ARGUMENT_BYTES));
  readonly #argumentBytes = new BigUint64Array(new SharedArrayBuffer(8));
  readonly #launchOptions = BigUint64Array.of(
    ...[BUFFER, addressOf(this.#arguments.buffer)],
    ...[BUFFER_SIZE, addressOf(this.#argumentBytes.buffer), END],
  );
  readonly #load: Code<[Out, Uint8Array]>;
  readonly #unload: Code<[bigint]>;
  readonly #find: Code<[Out, bigint, string]>;
  readonly #setAttribute: Code<[bigint, number, number]>;
  readonly #launch: Code<[bigint, ...Dim3, ...Dim3, number, bigint, null, BigUint64Array]>;
  readonly #errorName: Code<[number, [string | null]]>;

  /** @throws DEVICE_MISSING without the library */
  constructor() {
    const library = openDriver();
    this.#load = define(library, 'cuModuleLoadData', ['void *', 'void *']);
    this.#unload = define(library, 'cuModuleUnload', ['void *']);
    this.#find = define(library, 'cuModuleGetFunction', ['void *', 'void *', 'const char *']);
    this.#setAttribute = define(library, 'cuFuncSetAttribute', ['void *', 'int', 'int']);
    this.#launch = define(library, 'cuLaunchKernel', [
      'void *',
      ...new Array<string>(7).fill('uint32_t'),
      ...['void *', 'void *', 'void *'],
    ]);
    this.#errorName = library.func('int cuGetErrorName(int, _Out_ const char **)') as never;
  }

  /** Loads machine code on the card; returns the module's handle. */
  load(cubin: Uint8Array): bigint {
    this.#check(this.#load(this.#out, cubin), 'cuModuleLoadData');
    return this.#out[0]!;
  }

  unload(module: bigint): void {
    this.#check(this.#unload(module), 'cuModuleUnload');
  }

  find(module: bigint, entry: string): DeviceFunction {
    this.#check(this.#find(this.#out, module, entry), `cuModuleGetFunction ${entry}`);
    return { entry, handle: this.#out[0]!, sharedBytes: PLAIN_SHARED_BYTES };
  }

  /**
   * Queues one launch on a stream. A grid without blocks launches nothing.
   *
   * @param addresses those of the inputs, then those of the outputs
   */
  launch(
    kernel: DeviceFunction,
    { grid, block, sharedBytes, scalars }: Launch,
    addresses: readonly bigint[],
    stream: bigint,
  ): void {
    if (grid.some((size) => size === 0)) return;
    this.#write(kernel, addresses, scalars);
    if (sharedBytes > kernel.sharedBytes) {
      const code = this.#setAttribute(kernel.handle, MOST_SHARED_BYTES, sharedBytes);
      this.#check(code, `${kernel.entry}: ${sharedBytes} bytes of shared memory`);
      kernel.sharedBytes = sharedBytes;
    }
    const code = this.#launch(
      kernel.handle,
      ...grid,
      ...block,
      sharedBytes,
      stream,
      null,
      this.#launchOptions,
    );
    if (code !== 0) this.#check(code, `${kernel.entry} in ${grid.join('x')} of ${block.join('x')}`);
  }

  /** Writes the arguments of a launch one after the other, each at a multiple of its size as in a struct of C. */
  #write(
    { entry }: DeviceFunction,
    addresses: readonly bigint[],
    scalars: Launch['scalars'],
  ): void {
    const byteLength = 8 * (addresses.length + scalars.length);
    if (byteLength > MOST_ARGUMENT_BYTES) {
      const what = `${addresses.length} tensors as arguments, more than ${MOST_ARGUMENT_BYTES} bytes`;
      throw new CxmindError('INTERNAL', `${entry}: ${what}`);
    }
    let end = 0;
    const next = (size: number): number => {
      const at = Math.ceil(end / size) * size;
      end = at + size;
      return at;
    };
    for (const address of addresses) this.#arguments.setBigUint64(next(8), address, true);
    for (const { type, value } of scalars) {
      if (type === 'f32') this.#arguments.setFloat32(next(4), value, true);
      else if (type === 'i32') this.#arguments.setInt32(next(4), value, true);
      else this.#arguments.setBigInt64(next(8), BigInt(value), true);
    }
    this.#argumentBytes[0] = BigInt(end);
  }

  #check(code: number, call: string): void {
    if (code === 0) return;
    const name: [string | null] = [null];
    this.#errorName(code, name);
    throw new CxmindError('RUNTIME_FAILED', `${call}: ${name[0] ?? `CUDA error ${code}`}`, {
      detail: { code },
    });
  }
}
