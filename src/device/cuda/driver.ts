import { CxmindError } from '../../errors.ts';
import type { Launch } from '../../graph/kernel.ts';
import { addressOf } from '../../native.ts';
import { define, openLibrary, type Code, type Library, type Out } from './library.ts';

/** Most arguments of a kernel. */
const MOST_ARGUMENTS = 128;
const ARGUMENT_BYTES = 8;
/** Bytes of shared memory that a block may have by default. */
const PLAIN_SHARED_BYTES = 48 << 10;
/** `CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES` */
const MOST_SHARED_BYTES = 8;

type Dim3 = [x: number, y: number, z: number];

/** A kernel that is loaded on the card. */
export class DeviceFunction {
  readonly entry: string;
  readonly handle: bigint;
  /** Bytes of shared memory that a block may ask for. */
  sharedBytes = PLAIN_SHARED_BYTES;

  constructor(entry: string, handle: bigint) {
    this.entry = entry;
    this.handle = handle;
  }
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
  readonly #slots = new SharedArrayBuffer(ARGUMENT_BYTES * MOST_ARGUMENTS);
  readonly #arguments = new DataView(this.#slots);
  readonly #pointers: BigUint64Array;
  readonly #load: Code<[Out, Uint8Array]>;
  readonly #unload: Code<[bigint]>;
  readonly #find: Code<[Out, bigint, string]>;
  readonly #setAttribute: Code<[bigint, number, number]>;
  readonly #launch: Code<[bigint, ...Dim3, ...Dim3, number, bigint, BigUint64Array, null]>;
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
    const start = addressOf(this.#slots);
    this.#pointers = BigUint64Array.from(
      { length: MOST_ARGUMENTS },
      (_, i) => start + BigInt(ARGUMENT_BYTES * i),
    );
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
    return new DeviceFunction(entry, this.#out[0]!);
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
    if (addresses.length + scalars.length > MOST_ARGUMENTS) {
      throw new CxmindError('INTERNAL', `${kernel.entry}: more than ${MOST_ARGUMENTS} arguments`);
    }
    let at = 0;
    const next = (): number => ARGUMENT_BYTES * at++;
    for (const address of addresses) this.#arguments.setBigUint64(next(), address, true);
    for (const { type, value } of scalars) {
      if (type === 'f32') this.#arguments.setFloat32(next(), value, true);
      else if (type === 'i32') this.#arguments.setInt32(next(), value, true);
      else this.#arguments.setBigInt64(next(), BigInt(value), true);
    }
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
      this.#pointers,
      null,
    );
    if (code !== 0) this.#check(code, `${kernel.entry} in ${grid.join('x')} of ${block.join('x')}`);
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
