import koffi, { type LibraryHandle } from 'koffi';
import { CxmindError } from '../../../src/errors.ts';
import { loadLibrary } from '../../../src/native.ts';

/** Declarations of the kinds of C values. All handles of Open MPI are pointers. */
const cTypes = { pointer: 'void *', int: 'int', memory: 'void *' } as const;
type Kind = keyof typeof cTypes;

/** Functions that are called, with the kinds of their arguments. Each returns an error code. */
// oxfmt-ignore
const table = {
  Init_thread:          ['pointer', 'pointer', 'int', 'memory'],
  Initialized:          ['memory'],
  Finalize:             [],
  Error_string:         ['int', 'memory', 'memory'],
  Comm_set_errhandler:  ['pointer', 'pointer'],
  Comm_rank:            ['pointer', 'memory'],
  Comm_size:            ['pointer', 'memory'],
  Comm_split:           ['pointer', 'int', 'int', 'memory'],
  Bcast:                ['memory', 'int', 'pointer', 'int', 'pointer'],
  Reduce_scatter_block: ['memory', 'memory', 'int', 'pointer', 'pointer', 'pointer'],
  Iallgather:           ['memory', 'int', 'pointer', 'memory', 'int', 'pointer', 'pointer', 'memory'],
  Test:                 ['memory', 'memory', 'pointer'],
  Wait:                 ['memory', 'pointer'],
  Allgather:            ['memory', 'int', 'pointer', 'memory', 'int', 'pointer', 'pointer'],
  Gather:               ['memory', 'int', 'pointer', 'memory', 'int', 'pointer', 'int', 'pointer'],
  Scatter:              ['memory', 'int', 'pointer', 'memory', 'int', 'pointer', 'int', 'pointer'],
} as const satisfies Readonly<Record<string, readonly Kind[]>>;

/** Objects of the library. Their addresses are MPI's handles. */
const handles = {
  world: 'ompi_mpi_comm_world',
  errorsReturn: 'ompi_mpi_errors_return',
  float: 'ompi_mpi_float',
  int16: 'ompi_mpi_int16_t',
  int32: 'ompi_mpi_int32_t',
  int64: 'ompi_mpi_int64_t',
  sum: 'ompi_mpi_op_sum',
} as const;

/** Argument of a call: an address, or memory whose address is passed. */
export type MpiArgument = bigint | number | null | ArrayBufferView;

type Function = ((...args: MpiArgument[]) => number) & {
  async: (...args: [...MpiArgument[], (error: Error | null, code: number) => void]) => void;
};

/** Level of thread support at which any thread may call MPI at any time. */
const THREAD_MULTIPLE = 3;

/** Stands for the input where one buffer is input and output. */
export const IN_PLACE = 1n;

const libraryNames = ['libmpi.so.40', 'libmpi.so.80', 'libmpi.so', 'libmpi.dylib'];

/** Open MPI, loaded into this process. */
export class MpiLibrary {
  readonly handles: Readonly<Record<keyof typeof handles, bigint>>;
  readonly #functions: Readonly<Record<keyof typeof table, Function>>;
  /** Arguments of calls on other threads, whose memory the garbage collector must not take. */
  readonly #inUse = new Set<readonly MpiArgument[]>();
  /** Hold on the library, which koffi unloads without one. */
  readonly library: LibraryHandle;

  /** @throws DEVICE_MISSING with what to install, when there is no library */
  constructor() {
    this.library = openLibrary();
    this.#functions = Object.fromEntries(
      Object.entries(table).map(([name, kinds]) => {
        const types = kinds.map((kind) => cTypes[kind]);
        return [name, this.library.func(`MPI_${name}`, 'int', types)];
      }),
    ) as unknown as Record<keyof typeof table, Function>;
    this.handles = Object.fromEntries(
      Object.entries(handles).map(([name, symbol]) => [
        name,
        koffi.address(this.library.symbol(symbol)),
      ]),
    ) as Record<keyof typeof handles, bigint>;
  }

  /** Starts MPI in this process, unless it was started. */
  start(): void {
    const [isStarted, support] = [new Int32Array(1), new Int32Array(1)];
    this.call('Initialized', isStarted);
    if (isStarted[0] !== 0) return;
    this.call('Init_thread', null, null, THREAD_MULTIPLE, support);
    if (support[0] !== THREAD_MULTIPLE) {
      throw new CxmindError('DEVICE_MISSING', 'the MPI library was built without thread support');
    }
    this.call('Comm_set_errhandler', this.handles.world, this.handles.errorsReturn);
  }

  /** Calls a function that does not wait for other ranks, on this thread. */
  call(name: keyof typeof table, ...args: MpiArgument[]): void {
    this.#check(name, this.#functions[name](...args));
  }

  /** Calls a function on a thread of libuv's pool. Memory among the arguments is in use until this resolves. */
  async wait(name: keyof typeof table, ...args: MpiArgument[]): Promise<void> {
    const addresses = args.map((arg) => (ArrayBuffer.isView(arg) ? koffi.address(arg) : arg));
    const code = await new Promise<number>((resolve, reject) => {
      this.#inUse.add(args);
      this.#functions[name].async(...addresses, (error, result) => {
        this.#inUse.delete(args);
        if (error === null) resolve(result);
        else reject(error);
      });
    });
    this.#check(name, code);
  }

  #check(name: string, code: number): void {
    if (code === 0) return;
    const [text, length] = [new Uint8Array(1024), new Int32Array(1)];
    this.#functions.Error_string(code, text, length);
    const reason = new TextDecoder().decode(text.subarray(0, length[0]));
    throw new CxmindError('RUNTIME_FAILED', `MPI_${name}: ${reason}`, { detail: { code } });
  }
}

function openLibrary(): LibraryHandle {
  // For koffi's settings, which come before any library.
  loadLibrary(null);
  for (const name of libraryNames) {
    try {
      // Open MPI loads parts of itself, which look for its functions among the global ones.
      const library = koffi.load(name, { global: true });
      library.symbol(handles.world);
      return library;
    } catch {
      // Not under this name, or not Open MPI.
    }
  }
  throw new CxmindError(
    'DEVICE_MISSING',
    `no Open MPI library (${libraryNames.join(', ')}); on Debian: apt-get install openmpi-bin libopenmpi-dev`,
  );
}
