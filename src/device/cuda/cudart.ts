/** CUDA's runtime library: the memory, the stream and the graphs of one card, and the number of cards. */
import { CxmindError } from '../../errors.ts';
import type { NativeFunction } from '../../native.ts';
import { openDriver } from './driver.ts';
import { define, openLibrary, type Library, type Out } from './library.ts';

/** An address on a card, or memory of this process: what a `void *` of CUDA may be. */
type Pointer = bigint | ArrayBufferView;
type ErrorText = NativeFunction<(code: number) => string>;

/** `cudaMemcpyKind` */
const direction = { hostToDevice: 1, deviceToHost: 2, deviceToDevice: 3 } as const;
type Direction = keyof typeof direction;

/** `cudaErrorMemoryAllocation` */
const OUT_OF_MEMORY = 2;
/** `cudaErrorHostMemoryAlreadyRegistered` */
const ALREADY_LOCKED = 712;
/** `cudaHostRegisterPortable`: pages are locked for all cards. */
const PORTABLE = 1;
/** `cudaErrorNotReady` */
const NOT_READY = 600;
/** `cudaStreamCaptureModeRelaxed`: other calls of this thread do not spoil the capture. */
const RELAXED = 2;
/** `cudaDevAttrComputeCapabilityMajor` and `Minor` */
const CAPABILITY = [75, 76] as const;

/** Oldest compute capability with bf16. */
const OLDEST_CAPABILITY = 8;

/** The functions that are called, with the types of their arguments here and in C. */
// oxfmt-ignore
function functionsOf(library: Library) {
  const of = <Args extends readonly unknown[]>(name: string, ...takes: string[]) => define<Args>(library, name, takes);
  return {
    setDevice: of<[number]>('cudaSetDevice', 'int'),
    createStream: of<[Out]>('cudaStreamCreate', 'void *'),
    attribute: of<[Out, number, number]>('cudaDeviceGetAttribute', 'void *', 'int', 'int'),
    malloc: of<[Out, number]>('cudaMalloc', 'void *', 'size_t'),
    free: of<[bigint]>('cudaFree', 'void *'),
    memcpy: of<[Pointer, Pointer, number, number, bigint]>('cudaMemcpyAsync', 'void *', 'void *', 'size_t', 'int', 'void *'),
    hostRegister: of<[ArrayBufferView, number, number]>('cudaHostRegister', 'void *', 'size_t', 'uint'),
    hostUnregister: of<[ArrayBufferView]>('cudaHostUnregister', 'void *'),
    memset: of<[bigint, number, number, bigint]>('cudaMemsetAsync', 'void *', 'int', 'size_t', 'void *'),
    memoryInfo: of<[Out, Out]>('cudaMemGetInfo', 'void *', 'void *'),
    synchronize: of<[bigint]>('cudaStreamSynchronize', 'void *'),
    query: of<[bigint]>('cudaStreamQuery', 'void *'),
    clearError: of<[]>('cudaGetLastError'),
    destroy: of<[bigint]>('cudaStreamDestroy', 'void *'),
    createEvent: of<[Out]>('cudaEventCreate', 'void *'),
    recordEvent: of<[bigint, bigint]>('cudaEventRecord', 'void *', 'void *'),
    elapsed: of<[Float32Array, bigint, bigint]>('cudaEventElapsedTime', 'void *', 'void *', 'void *'),
    destroyEvent: of<[bigint]>('cudaEventDestroy', 'void *'),
    beginCapture: of<[bigint, number]>('cudaStreamBeginCapture', 'void *', 'int'),
    endCapture: of<[bigint, Out]>('cudaStreamEndCapture', 'void *', 'void *'),
    instantiate: of<[Out, bigint, number]>('cudaGraphInstantiate', 'void *', 'void *', 'uint64_t'),
    destroyGraph: of<[bigint]>('cudaGraphDestroy', 'void *'),
    launchGraph: of<[bigint, bigint]>('cudaGraphLaunch', 'void *', 'void *'),
    destroyExecutable: of<[bigint]>('cudaGraphExecDestroy', 'void *'),
  };
}

/** A card, through CUDA's runtime library. All work goes to one stream of this thread. */
export class Cudart {
  readonly #out = new BigUint64Array(new SharedArrayBuffer(16));
  readonly #errorText: ErrorText;
  readonly #cuda: ReturnType<typeof functionsOf>;
  #isCapturing = false;
  /** The stream that everything is queued on. */
  readonly stream: bigint;
  /** The card's architecture by its compiler name, such as `sm_90a`. */
  readonly architecture: string;

  /**
   * @param ordinal number of the card
   * @throws DEVICE_MISSING without the library or the card, or where the card is too old
   */
  constructor(ordinal: number) {
    const library = openCudart();
    this.#errorText = errorTextOf(library);
    this.#cuda = functionsOf(library);
    const found = countCards(library);
    if (ordinal >= found) {
      throw new CxmindError(
        'DEVICE_MISSING',
        `device cuda:${ordinal}: the driver shows ${found} cards; \`nvidia-smi\` lists them, and ` +
          'CUDA_VISIBLE_DEVICES may hide some',
      );
    }
    this.#check(this.#cuda.setDevice(ordinal), 'cudaSetDevice');
    this.#check(this.#cuda.createStream(this.#out), 'cudaStreamCreate');
    this.stream = this.#out[0]!;
    const [major, minor] = CAPABILITY.map((name) => {
      this.#check(this.#cuda.attribute(this.#out, name, ordinal), 'cudaDeviceGetAttribute');
      return Number(this.#out[0]! & 0xffffffffn);
    }) as [number, number];
    if (major < OLDEST_CAPABILITY) {
      throw new CxmindError(
        'DEVICE_MISSING',
        `device cuda:${ordinal}: a card of compute capability ${major}.${minor} has no bf16; ` +
          `${OLDEST_CAPABILITY}.0 (Ampere) or later is needed`,
      );
    }
    // The suffix `a` adds instructions that only this architecture has: from Hopper on, those of its tensor cores.
    this.architecture = `sm_${major}${minor}${major >= 9 ? 'a' : ''}`;
  }

  /**
   * Allocates memory of the card, with arbitrary contents.
   *
   * @throws DEVICE_OUT_OF_MEMORY with the sizes of free and needed memory
   */
  allocate(byteLength: number): bigint {
    const code = this.#cuda.malloc(this.#out, byteLength);
    if (code === OUT_OF_MEMORY) {
      const { free, total } = this.memory();
      throw new CxmindError(
        'DEVICE_OUT_OF_MEMORY',
        `the card has ${mib(free)} of ${mib(total)} MiB free, ${mib(byteLength)} MiB are needed`,
        { detail: { free, total, byteLength } },
      );
    }
    this.#check(code, 'cudaMalloc');
    return this.#out[0]!;
  }

  free(address: bigint): void {
    this.#check(this.#cuda.free(address), 'cudaFree');
  }

  /** Queues a copy. To and from the host, the copy is done when the call returns. */
  copy(from: Pointer, to: Pointer, byteLength: number, way: Direction): void {
    this.#check(this.#cuda.memcpy(to, from, byteLength, direction[way], this.stream), 'cudaMemcpy');
    if (way !== 'deviceToDevice') this.synchronize();
  }

  /**
   * Locks the pages of this process's memory, so that copies from there reach the bus's speed. Where the system does not
   * let them be locked, copies are right and slower.
   */
  pin(data: ArrayBufferView): void {
    let code = this.#cuda.hostRegister(data, data.byteLength, PORTABLE);
    if (code === ALREADY_LOCKED) {
      // It may be the lock of a thread that was ended, on memory that lay here before.
      this.unpin(data);
      code = this.#cuda.hostRegister(data, data.byteLength, PORTABLE);
    }
    if (code !== 0) this.#cuda.clearError();
  }

  /** Undoes `pin`. */
  unpin(data: ArrayBufferView): void {
    if (this.#cuda.hostUnregister(data) !== 0) this.#cuda.clearError();
  }

  zero(address: bigint, byteLength: number): void {
    this.#check(this.#cuda.memset(address, 0, byteLength, this.stream), 'cudaMemset');
  }

  /** Waits until all queued work is done. */
  synchronize(): void {
    this.#check(this.#cuda.synchronize(this.stream), 'cudaStreamSynchronize');
  }

  /** True if all queued work is done. */
  isIdle(): boolean {
    const code = this.#cuda.query(this.stream);
    // Without this, a later caller that asks for its own call's error would get this one.
    if (code === NOT_READY) this.#cuda.clearError();
    else this.#check(code, 'cudaStreamQuery');
    return code === 0;
  }

  /** Records an event after the work that is queued now. */
  event(): bigint {
    this.#check(this.#cuda.createEvent(this.#out), 'cudaEventCreate');
    const event = this.#out[0]!;
    this.#check(this.#cuda.recordEvent(event, this.stream), 'cudaEventRecord');
    return event;
  }

  /** The time between two events, once both have happened. */
  milliseconds(from: bigint, to: bigint): number {
    const time = new Float32Array(1);
    this.#check(this.#cuda.elapsed(time, from, to), 'cudaEventElapsedTime');
    return time[0]!;
  }

  destroyEvent(event: bigint): void {
    this.#check(this.#cuda.destroyEvent(event), 'cudaEventDestroy');
  }

  /** Captures all that `work` queues as a CUDA graph. None of it runs now. */
  capture(work: () => void): bigint {
    this.#check(this.#cuda.beginCapture(this.stream, RELAXED), 'cudaStreamBeginCapture');
    this.#isCapturing = true;
    let code: number;
    try {
      work();
    } finally {
      this.#isCapturing = false;
      code = this.#cuda.endCapture(this.stream, this.#out);
    }
    this.#check(code, 'cudaStreamEndCapture');
    const graph = this.#out[0]!;
    code = this.#cuda.instantiate(this.#out, graph, 0);
    this.#check(this.#cuda.destroyGraph(graph), 'cudaGraphDestroy');
    this.#check(code, 'cudaGraphInstantiate');
    return this.#out[0]!;
  }

  /** True if work goes into a graph instead of running. */
  get isCapturing(): boolean {
    return this.#isCapturing;
  }

  /** Queues a captured graph. */
  launch(graph: bigint): void {
    this.#check(this.#cuda.launchGraph(graph, this.stream), 'cudaGraphLaunch');
  }

  destroyGraph(graph: bigint): void {
    this.#check(this.#cuda.destroyExecutable(graph), 'cudaGraphExecDestroy');
  }

  /** Free and total memory of the card, in bytes. */
  memory(): { readonly free: number; readonly total: number } {
    this.#check(this.#cuda.memoryInfo(this.#out, this.#out.subarray(1)), 'cudaMemGetInfo');
    return { free: Number(this.#out[0]), total: Number(this.#out[1]) };
  }

  destroyStream(): void {
    this.#check(this.#cuda.destroy(this.stream), 'cudaStreamDestroy');
  }

  #check(code: number, call: string): void {
    if (code === 0) return;
    throw new CxmindError('RUNTIME_FAILED', `${call}: ${this.#errorText(code)}`, {
      detail: { code },
    });
  }
}

/**
 * Counts the cards that the driver shows.
 *
 * @throws DEVICE_MISSING without CUDA's runtime library, or without a driver for it
 */
export function countCards(library: Library = openCudart()): number {
  const out: Out = new BigUint64Array(new SharedArrayBuffer(8));
  const code = define<[Out]>(library, 'cudaGetDeviceCount', ['void *'])(out);
  if (code === 0) return Number(out[0]! & 0xffffffffn);
  throw new CxmindError(
    'DEVICE_MISSING',
    `device cuda: ${errorTextOf(library)(code)}; \`nvidia-smi\` shows which CUDA the driver is for`,
  );
}

function errorTextOf(library: Library): ErrorText {
  return library.func('cudaGetErrorString', 'const char *', ['int']) as ErrorText;
}

/**
 * Loads CUDA's runtime library.
 *
 * @throws DEVICE_MISSING
 */
export function openCudart(): Library {
  openDriver();
  return openLibrary(
    "CUDA's runtime library",
    ['libcudart.so.13', 'libcudart.so.12', 'libcudart.so'],
    'install CUDA 13 and put the folder of `libcudart.so.13` on LD_LIBRARY_PATH',
  );
}

function mib(bytes: number): number {
  return Math.round(bytes / 2 ** 20);
}
