import { availableParallelism } from 'node:os';
import { asCxmindError, CxmindError } from '../errors.ts';
import type { Tensor } from '../tensor/tensor.ts';
import { loadAbi } from './abi.ts';
import type { Context, RunObserver } from './context.ts';
import {
  appendProvider,
  candidates,
  type Device,
  type DeviceName,
  type ProviderSettings,
} from './device.ts';
import { CustomOps, type CustomOp } from './custom-op.ts';
import { Handle } from './handle.ts';
import { Native } from './native.ts';
import { Session } from './session.ts';
import { OrtValue, ValueMaker } from './value.ts';

/** `OrtLoggingLevel` by name. */
const logLevels = { verbose: 0, info: 1, warning: 2, error: 3, fatal: 4 } as const;
/** `GraphOptimizationLevel` */
const OPTIMIZE_ALL = 99;
/** `OrtAllocatorType`, `OrtMemType` */
const ARENA_ALLOCATOR = 1;
const DEFAULT_MEMORY = 0;

/** How the process computes. The first runtime of a process decides; see `Runtime.open`. */
export interface RuntimeOptions {
  /**
   * Threads that share one operator's work, the caller among them; default one per core.
   *
   * The last bits of a matrix product depend on it: each thread computes columns of its own, and the fewer
   * those are, the longer the parts in which ONNX Runtime sums them. Load changes no number, nor does the
   * place of a tensor, as long as it lies at a multiple of 16 bytes.
   */
  readonly threads?: number;
  /** Whether idle pool threads wait for work by spinning: faster, but they keep their cores busy. */
  readonly isSpinning?: boolean;
  /** When given, each session writes `<prefix>_<date>.json` with the time of every operator. */
  readonly profilePrefix?: string;
}

/** The custom ops of a model, and the domain that it knows them by. */
export interface ModelOps {
  readonly domain: string;
  readonly ops: readonly CustomOp[];
}

/**
 * ONNX Runtime in this thread: one environment, one thread pool and one memory arena for all sessions
 * of the process.
 */
export class Runtime implements Disposable {
  /** The library's version: `1.29.0`. */
  readonly version: string;
  readonly #context: Context;
  readonly #environment: Handle;
  readonly #customOps: CustomOps;
  readonly #profilePrefix: string | undefined;
  readonly #logLevel: number;

  /**
   * Open the runtime, in any thread and as often as needed. The environment belongs to the process: the
   * first to open sets its threads, later ones share them, the last to be disposed ends it. A worker thread
   * that is stopped before it disposes its runtime leaves the environment, threads and all, to the process.
   *
   * ONNX Runtime's failures come back as errors, so the library itself writes nothing, unless the variable
   * `CXMIND_ONNXRUNTIME_LOG` names a level from which it writes to stderr: `warning` shows, for example, which
   * nodes a device leaves to the CPU.
   *
   * @throws DEVICE_MISSING when there is no library for this machine; CONFIG_INVALID for a log level that
   *   does not exist; RUNTIME_FAILED
   */
  static open(options: RuntimeOptions = {}): Runtime {
    return new Runtime(new Native(loadAbi()), options);
  }

  private constructor(native: Native, options: RuntimeOptions) {
    const { threads = availableParallelism(), isSpinning = true, profilePrefix } = options;
    const f = native.functions;
    this.version = native.version;
    this.#profilePrefix = profilePrefix;
    this.#logLevel = logLevel();
    using made = new DisposableStack();
    const environment = openEnvironment(native, threads, isSpinning, this.#logLevel);
    made.adopt(environment, f.ReleaseEnv);
    this.#customOps = made.use(new CustomOps(native));
    const memoryInfo = native.out('open', (slot) =>
      f.CreateCpuMemoryInfo(ARENA_ALLOCATOR, DEFAULT_MEMORY, slot),
    );
    made.adopt(memoryInfo, f.ReleaseMemoryInfo);
    shareArena(native, environment, memoryInfo);
    this.#context = {
      native,
      allocator: native.out('open', (slot) => f.GetAllocatorWithDefaultOptions(slot)),
      memoryInfo,
      values: new ValueMaker(native, memoryInfo),
      observer: null,
    };
    const owned = made.move();
    this.#environment = new Handle('runtime', environment, () => {
      owned.dispose();
    });
  }

  /**
   * Compile a graph for a device, with every graph optimization. `auto` goes on to the next device whenever
   * one fails, be it to load or to compile, and the session keeps the reasons.
   *
   * @param model bytes of an ONNX ModelProto; not used after the call
   * @param options.name how errors call it
   * @param options.settings of the device's provider
   * @param options.customOps of the model, all in one domain, run by the device's provider
   * @param options.settle waits for what runs have queued; called before the session is gone, whose memory that uses
   * @throws DEVICE_MISSING when the device's provider does not load; RUNTIME_FAILED for a bad model
   */
  compile(
    model: Uint8Array,
    options: {
      readonly name?: string;
      readonly device?: DeviceName;
      readonly settings?: ProviderSettings;
      readonly customOps?: ModelOps;
      readonly settle?: () => void;
    } = {},
  ): Session {
    const { name = 'graph', device = 'cpu', settings = {}, customOps, settle } = options;
    const passedOver: CxmindError[] = [];
    for (const candidate of candidates(device)) {
      try {
        const made = { name, settings, customOps, settle, passedOver };
        return this.#compileFor(candidate, model, made);
      } catch (error) {
        passedOver.push(asCxmindError(error));
      }
    }
    throw passedOver.at(-1)!;
  }

  /** Is told of this runtime's runs, but for those on another thread; null where nobody is. */
  get observer(): RunObserver | null {
    return this.#context.observer;
  }

  set observer(observer: RunObserver | null) {
    this.#context.observer = observer;
  }

  /** A native value over a tensor's memory, to bind many times. */
  value(tensor: Tensor): OrtValue {
    this.#environment.assertLive();
    const { native, values } = this.#context;
    const pointer = values.make(tensor, 'value');
    return new OrtValue(
      tensor,
      new Handle('value', pointer, (at) => native.functions.ReleaseValue(at)),
    );
  }

  /** Let go of the environment; sessions that still live keep it until they are disposed. */
  [Symbol.dispose](): void {
    this.#environment[Symbol.dispose]();
  }

  #compileFor(
    device: Device,
    model: Uint8Array,
    {
      name,
      settings,
      customOps,
      settle,
      passedOver,
    }: {
      readonly name: string;
      readonly settings: ProviderSettings;
      readonly customOps: ModelOps | undefined;
      readonly settle: (() => void) | undefined;
      readonly passedOver: readonly CxmindError[];
    },
  ): Session {
    const { native } = this.#context;
    const f = native.functions;
    const environment = this.#environment.pointer;
    using made = new DisposableStack();
    this.#environment.hold();
    made.defer(() => {
      this.#environment.drop();
    });
    const options = native.out(name, (slot) => f.CreateSessionOptions(slot));
    try {
      native.check(f.SetSessionLogSeverityLevel(options, this.#logLevel), name);
      native.check(f.SetSessionGraphOptimizationLevel(options, OPTIMIZE_ALL), name);
      native.check(f.EnableMemPattern(options), name);
      native.check(f.DisablePerSessionThreads(options), name);
      native.check(f.AddSessionConfigEntry(options, 'session.use_env_allocators', '1'), name);
      if (this.#profilePrefix !== undefined) {
        native.check(f.EnableProfiling(options, this.#profilePrefix), name);
      }
      if (customOps !== undefined && customOps.ops.length > 0) {
        const provider = device === 'cuda' ? 'CUDAExecutionProvider' : null;
        const domain = made.use(this.#customOps.domain(customOps.domain, customOps.ops, provider));
        native.check(f.AddCustomOpDomain(options, domain.pointer), name);
      }
      appendProvider(native, options, device, settings);
      const pointer = native.out(name, (slot) =>
        f.CreateSessionFromArray(environment, model, model.byteLength, options, slot),
      );
      const owned = made.move();
      return new Session(this.#context, pointer, {
        name,
        device,
        passedOver,
        isProfiled: this.#profilePrefix !== undefined,
        settle,
        onRelease: () => {
          owned.dispose();
        },
      });
    } finally {
      f.ReleaseSessionOptions(options);
    }
  }
}

/** The least level at which ONNX Runtime writes to stderr, from `CXMIND_ONNXRUNTIME_LOG`. */
function logLevel(): number {
  const name = process.env['CXMIND_ONNXRUNTIME_LOG'] ?? '';
  if (name === '') return logLevels.fatal;
  if (Object.hasOwn(logLevels, name)) return logLevels[name as keyof typeof logLevels];
  throw new CxmindError(
    'CONFIG_INVALID',
    `CXMIND_ONNXRUNTIME_LOG: expected ${Object.keys(logLevels).join(', ')}, got '${name}'`,
  );
}

function openEnvironment(
  native: Native,
  threads: number,
  isSpinning: boolean,
  level: number,
): bigint {
  const f = native.functions;
  const options = native.out('open', (slot) => f.CreateThreadingOptions(slot));
  try {
    native.check(f.SetGlobalIntraOpNumThreads(options, threads), 'open');
    native.check(f.SetGlobalInterOpNumThreads(options, 1), 'open');
    native.check(f.SetGlobalSpinControl(options, isSpinning ? 1 : 0), 'open');
    return native.out('open', (slot) =>
      f.CreateEnvWithGlobalThreadPools(level, 'cxmind', options, slot),
    );
  } finally {
    f.ReleaseThreadingOptions(options);
  }
}

/** One arena for every session of the environment; an environment that has one already keeps it. */
function shareArena(native: Native, environment: bigint, memoryInfo: bigint): void {
  const status = native.functions.CreateAndRegisterAllocator(environment, memoryInfo, null);
  if (status === null) return;
  const { text } = native.take(status);
  if (!/already (been )?registered|already exists/i.test(text)) {
    throw new CxmindError('RUNTIME_FAILED', `open: ${text}`);
  }
}
