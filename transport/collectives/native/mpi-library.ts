import koffi, { type LibraryHandle } from 'koffi';
import { CxmindError } from '../../../src/errors.ts';
import { loadLibrary } from '../../../src/native.ts';

/** How each kind of C value is declared. All handles of Open MPI are pointers. */
const cTypes = { pointer: 'void *', int: 'int', memory: 'void *' } as const;
type Kind = keyof typeof cTypes;

/** The functions that are called, and what they take; each returns an error code. */
// prettier-ignore
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

/** Objects of the library, whose addresses are MPI's handles. */
const handles = {
  world: 'ompi_mpi_comm_world',
  errorsReturn: 'ompi_mpi_errors_return',
  float: 'ompi_mpi_float',
  int16: 'ompi_mpi_int16_t',
  int32: 'ompi_mpi_int32_t',
  int64: 'ompi_mpi_int64_t',
  sum: 'ompi_mpi_op_sum',
} as const;

/** An address, or memory whose address is meant. */
export type MpiArgument = bigint | number | null | ArrayBufferView;

type Function = ((...args: MpiArgument[]) => number) & {
  async: (...args: [...MpiArgument[], (error: Error | null, code: number) => void]) => void;
};

/** Threads may call MPI at any time, each for itself. */
const THREAD_MULTIPLE = 3;

/** For a buffer that is input and output at once. */
export const IN_PLACE = 1n;

const libraryNames = ['libmpi.so.40', 'libmpi.so.80', 'libmpi.so', 'libmpi.dylib'];

/** Open MPI as loaded into this process. */
export class MpiLibrary {
  readonly handles: Readonly<Record<keyof typeof handles, bigint>>;
  readonly #functions: Readonly<Record<keyof typeof table, Function>>;
  /** Memory that calls on other threads read or write, which the garbage collector must not take. */
  readonly #inUse = new Set<readonly MpiArgument[]>();
  /** Keeps koffi's hold on the library. */
  readonly library: LibraryHandle;

  /** @throws DEVICE_MISSING with what to install, when there is none */
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

  /** Starts MPI in this process, unless it has been. */
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

  /** Calls on this thread: for what does not wait for other ranks. */
  call(name: keyof typeof table, ...args: MpiArgument[]): void {
    this.#check(name, this.#functions[name](...args));
  }

  /** Calls on a thread of libuv's pool; memory among the arguments stays in use until this resolves. */
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
