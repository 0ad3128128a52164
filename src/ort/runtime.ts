/**
 * ONNX Runtime by its C functions, which koffi calls.
 *
 * A function returns a status and writes its result through a pointer. `native.out(where, (slot) => …)` lends it such a
 * pointer, reads the result, and throws a bad status as an error that begins with `where`. Whatever was made is owned by
 * a `DisposableStack` until a `Handle` takes it over, so a failure in between releases it.
 */
import { availableParallelism } from 'node:os';
import { CxmindError } from '../errors.ts';
import type { Context, RunObserver } from './context.ts';
import { CustomOps, type CustomOp } from './custom-op.ts';
import { Handle } from './handle.ts';
import { Native } from './native.ts';
import { appendProvider, type Provider, type ProviderSettings } from './provider.ts';
import { DEFAULT_MEMORY } from './device-allocator.ts';
import { Session } from './session.ts';

/** `OrtLoggingLevel` by name: the least severe messages that ONNX Runtime writes. */
const severities = { verbose: 0, info: 1, warning: 2, error: 3, fatal: 4 } as const;
/** `GraphOptimizationLevel` */
const OPTIMIZE_ALL = 99;
/** `OrtArenaAllocator` */
const ARENA_ALLOCATOR = 1;
/** Name that errors have while a runtime opens. */
const OPENING = 'open';

/** Options of ONNX Runtime. Threads are the process's: its first runtime decides on them for all (`Runtime`). */
export interface RuntimeOptions {
  /**
   * Threads that share the work of one operator, the caller among them; one for each core unless given.
   *
   * The last bits of a matrix product depend on this number. ONNX Runtime divides the columns of the product among the
   * threads. The fewer columns a thread has, the longer are the partial sums from which it adds up an element. Results do
   * not depend on the load of the machine, nor on the address of a tensor if that is a multiple of 16 bytes.
   */
  readonly threads?: number;
  /** True if idle threads of the pool spin while they wait for work: faster, but they keep their cores busy. */
  readonly isSpinning?: boolean;
  /** Prefix of this runtime's profiles: each session writes `<prefix>_<date>.json` with the time of every operator. */
  readonly profilePrefix?: string;
}

/** The custom ops of a model, and their domain in it. */
interface ModelOps {
  readonly domain: string;
  readonly ops: readonly CustomOp[];
}

/** Options of a session. */
interface CompileOptions {
  /** Name of the graph in errors. */
  readonly name?: string;
  /** Provider that runs it; the CPU's unless given. */
  readonly provider?: Provider;
  /** Number of the card, where a card runs it. */
  readonly ordinal?: number;
  /** Further options of the provider. */
  readonly settings?: ProviderSettings;
  /** The custom ops that the model has; the provider runs them. */
  readonly modelOps?: ModelOps;
  /**
   * Waits for all that the device has queued. It is called twice: before the session is released, since queued runs use its
   * memory, and after that, since the release queues work that frees the memory.
   */
  readonly waitForDevice?: () => void;
}

/** ONNX Runtime in this thread. All sessions of the process share one environment, thread pool and memory arena. */
export class Runtime implements Context, Disposable {
  readonly native = new Native();
  /** ONNX Runtime's allocator of host memory, an `OrtAllocator *` that the library owns. */
  readonly allocator: bigint;
  /** Description of host memory, an `OrtMemoryInfo *` that this runtime owns. */
  readonly hostMemory: bigint;
  /** Told when each run begins and ends; null while nobody takes a profile. */
  observer: RunObserver | null = null;
  readonly #environment: Handle;
  readonly #customOps: CustomOps;
  readonly #profilePrefix: string | undefined;
  readonly #severity: number;

  /**
   * Opens the runtime, in any thread and as often as needed.
   *
   * The environment belongs to the process. The first runtime sets its threads, later ones share them, and the last to be
   * disposed ends it. A worker thread that is stopped before it disposes its runtime leaves the environment open.
   *
   * ONNX Runtime's failures are thrown as errors, so the library itself writes nothing. The variable
   * `CXMIND_ONNXRUNTIME_LOG` names a severity from which it writes to stderr. At `warning`, for example, it tells which
   * nodes a provider leaves to the CPU.
   *
   * @throws DEVICE_MISSING when there is no library for this machine; CONFIG_INVALID for a severity that does
   *   not exist; RUNTIME_FAILED
   */
  constructor(options: RuntimeOptions = {}) {
    const { threads = availableParallelism(), isSpinning = true, profilePrefix } = options;
    const { native } = this;
    const ort = native.functions;
    this.#profilePrefix = profilePrefix;
    this.#severity = severityFromEnvironment();
    // The stack releases what was made if a later step throws. Otherwise the environment's handle takes it over.
    using made = new DisposableStack();
    const environment = openEnvironment(native, threads, isSpinning, this.#severity);
    made.adopt(environment, ort.ReleaseEnv);
    this.#customOps = made.use(new CustomOps(native));
    this.hostMemory = native.out(OPENING, (slot) =>
      ort.CreateCpuMemoryInfo(ARENA_ALLOCATOR, DEFAULT_MEMORY, slot),
    );
    made.adopt(this.hostMemory, ort.ReleaseMemoryInfo);
    shareArena(native, environment, this.hostMemory);
    this.allocator = native.out(OPENING, (slot) => ort.GetAllocatorWithDefaultOptions(slot));
    this.#environment = new Handle('runtime', environment, made.move());
  }

  /**
   * Compiles a graph for a provider, with all of ONNX Runtime's optimizations.
   *
   * @param model bytes of an ONNX ModelProto; not used after the call
   * @throws DEVICE_MISSING when the provider does not load; RUNTIME_FAILED for a bad model
   */
  compile(model: Uint8Array, options: CompileOptions = {}): Session {
    const { name = 'graph', provider = 'cpu', ordinal = 0, modelOps, waitForDevice } = options;
    const card = provider === 'cuda' ? { device_id: String(ordinal) } : {};
    const { native } = this;
    const ort = native.functions;
    const environment = this.#environment.pointer;
    // Holds what the session needs as long as it lives. The session takes it over at the end.
    using made = new DisposableStack();
    // The environment counts its sessions, and is released with the last of them at the earliest.
    made.use(this.#environment.hold());
    // Holds what only compiling needs.
    using compiling = new DisposableStack();
    const sessionOptions = native.out(name, (slot) => ort.CreateSessionOptions(slot));
    compiling.adopt(sessionOptions, ort.ReleaseSessionOptions);
    this.#configure(sessionOptions, name, provider);
    if (modelOps !== undefined && modelOps.ops.length > 0) {
      const domain = made.use(this.#customOps.domain(modelOps.domain, modelOps.ops, provider));
      native.check(ort.AddCustomOpDomain(sessionOptions, domain.pointer), name);
    }
    appendProvider(native, sessionOptions, provider, { ...card, ...options.settings });
    const pointer = native.out(name, (slot) =>
      ort.CreateSessionFromArray(environment, model, model.byteLength, sessionOptions, slot),
    );
    // The session owns the pointer and what it needs from here on, also where its constructor throws.
    return new Session(this, pointer, {
      name,
      provider,
      isProfiled: this.#profilePrefix !== undefined,
      waitForDevice,
      ordinal,
      needs: made.move(),
    });
  }

  /** Releases the environment, once its last session is disposed too. */
  [Symbol.dispose](): void {
    this.#environment[Symbol.dispose]();
  }

  /** Sets the options that do not depend on the graph. */
  #configure(options: bigint, name: string, provider: Provider): void {
    const { native } = this;
    const ort = native.functions;
    native.check(ort.SetSessionLogSeverityLevel(options, this.#severity), name);
    native.check(ort.SetSessionGraphOptimizationLevel(options, OPTIMIZE_ALL), name);
    // With ONNX Runtime's memory pattern, a run whose shapes were seen before takes the memory of all its intermediate
    // tensors in one piece. The arena also keeps the smaller pieces of the first run, so it would hold everything twice.
    if (provider === 'cpu') native.check(ort.DisableMemPattern(options), name);
    // Sessions share the threads and the arena of the environment.
    native.check(ort.DisablePerSessionThreads(options), name);
    native.check(ort.AddSessionConfigEntry(options, 'session.use_env_allocators', '1'), name);
    if (this.#profilePrefix !== undefined) {
      native.check(ort.EnableProfiling(options, this.#profilePrefix), name);
    }
  }
}

/** The severity from which ONNX Runtime writes to stderr, named by `CXMIND_ONNXRUNTIME_LOG`. */
function severityFromEnvironment(): number {
  const name = process.env['CXMIND_ONNXRUNTIME_LOG'] ?? '';
  if (name === '') return severities.fatal;
  if (Object.hasOwn(severities, name)) return severities[name as keyof typeof severities];
  throw new CxmindError(
    'CONFIG_INVALID',
    `CXMIND_ONNXRUNTIME_LOG: expected ${Object.keys(severities).join(', ')}, got '${name}'`,
  );
}

/** Opens the environment of the process, or takes a share in it where it is open. */
function openEnvironment(
  native: Native,
  threads: number,
  isSpinning: boolean,
  severity: number,
): bigint {
  const ort = native.functions;
  using opening = new DisposableStack();
  const options = native.out(OPENING, (slot) => ort.CreateThreadingOptions(slot));
  opening.adopt(options, ort.ReleaseThreadingOptions);
  native.check(ort.SetGlobalIntraOpNumThreads(options, threads), OPENING);
  // The operators of a session run one after the other, so more threads between operators would be idle.
  native.check(ort.SetGlobalInterOpNumThreads(options, 1), OPENING);
  native.check(ort.SetGlobalSpinControl(options, isSpinning ? 1 : 0), OPENING);
  return native.out(OPENING, (slot) =>
    ort.CreateEnvWithGlobalThreadPools(severity, 'cxmind', options, slot),
  );
}

/** Gives the environment one arena for all sessions, unless it has one already. */
function shareArena(native: Native, environment: bigint, memoryInfo: bigint): void {
  const status = native.functions.CreateAndRegisterAllocator(environment, memoryInfo, null);
  if (status === null) return;
  // Another runtime of the process may have made the arena. ONNX Runtime (1.29) has no error code for this, only a text.
  const { text } = native.take(status);
  if (!/already (been )?registered|already exists/i.test(text)) {
    throw new CxmindError('RUNTIME_FAILED', `${OPENING}: ${text}`);
  }
}
