import { Binding, type CompiledGraph, type GraphIo } from './binding.ts';
import type { Context } from './context.ts';
import { DeviceAllocator, memoryInfo, type MemoryName } from './device-allocator.ts';
import { Handle } from './handle.ts';
import { describeIo, type IoInfo } from './io-info.ts';
import { NativeText, type Native } from './native.ts';
import type { Provider } from './provider.ts';

/** A compiled graph. Made by `Runtime.compile`. */
export class Session implements Disposable {
  readonly inputs: readonly IoInfo[];
  readonly outputs: readonly IoInfo[];
  readonly #context: Context;
  readonly #graph: CompiledGraph;

  /**
   * Takes ownership of a native session, and releases it at once when this throws.
   *
   * @param options.waitForDevice waits for all that the device has queued; called before the native session is released,
   *   and after it
   * @param options.ordinal number of the card, where a card runs the session
   * @param options.needs what the session needs as long as it lives; disposed of once it is gone
   * @throws DTYPE_MISMATCH when an input or output is no tensor, or has a dtype that tensors here do not have
   */
  constructor(
    context: Context,
    pointer: bigint,
    options: {
      name: string;
      provider: Provider;
      isProfiled: boolean;
      waitForDevice?: (() => void) | undefined;
      ordinal: number;
      needs: Disposable;
    },
  ) {
    const { native, allocator } = context;
    const { name, provider, isProfiled, waitForDevice, ordinal, needs } = options;
    const ort = native.functions;
    using made = new DisposableStack();
    made.use(needs);
    if (provider === 'cuda') holdPinned(native, pointer, ordinal, made);
    if (waitForDevice !== undefined) made.defer(waitForDevice);
    made.adopt(pointer, ort.ReleaseSession);
    if (waitForDevice !== undefined) made.defer(waitForDevice);
    this.#context = context;
    this.inputs = describeIo(native, pointer, allocator, 'Input', name);
    this.outputs = describeIo(native, pointer, allocator, 'Output', name);
    const named = (infos: readonly IoInfo[]): Map<string, GraphIo> =>
      new Map(
        infos.map((info) => [
          info.name,
          { info, name: made.use(new NativeText(info.name)).address },
        ]),
      );
    const [inputs, outputs] = [named(this.inputs), named(this.outputs)];
    const runOptions = provider === 'cuda' ? queuedRun(native, name, made) : null;
    if (isProfiled) {
      made.defer(() => {
        const path = native.out(name, (slot) => ort.SessionEndProfiling(pointer, allocator, slot));
        native.check(ort.AllocatorFree(allocator, path), name);
      });
    }
    const handle = new Handle(`session ${name}`, pointer, made.move());
    const copiesInputs = provider !== 'cpu';
    this.#graph = { name, handle, runOptions, inputs, outputs, copiesInputs };
  }

  /** An allocator of the memory of the session's provider. */
  allocator(name: MemoryName, ordinal = 0): DeviceAllocator {
    return new DeviceAllocator(this.#context, this.#graph.handle, name, ordinal);
  }

  /** A new binding with nothing bound. */
  bind(): Binding {
    return new Binding(this.#context, this.#graph);
  }

  /** Releases the session, once its bindings are disposed too. */
  [Symbol.dispose](): void {
    this.#graph.handle[Symbol.dispose]();
  }
}

/**
 * Holds the allocator of a session's pinned memory beyond the session.
 *
 * Runs that return early leave host buffers of their kernels to the provider's stream, which queues a callback that gives
 * them back when the session is released. Were the callback the last to hold the allocator, it would free pinned memory,
 * which CUDA permits no callback (error 800), and the process would end.
 */
function holdPinned(
  native: Native,
  session: bigint,
  ordinal: number,
  owner: DisposableStack,
): void {
  const ort = native.functions;
  // Some releases give all cards the first one's.
  for (const card of new Set([ordinal, 0])) {
    using info = new DisposableStack();
    const pinned = memoryInfo(native, 'CudaPinned', card, info);
    const slot = new BigUint64Array(1);
    const status = ort.CreateAllocator(session, pinned, slot);
    if (status === null) {
      owner.adopt(slot[0]!, ort.ReleaseAllocator);
      return;
    }
    native.take(status);
  }
}

/** Run options with which a run returns while the device computes; without them it waits for its stream. */
function queuedRun(native: Native, name: string, owner: DisposableStack): bigint {
  const ort = native.functions;
  const options = native.out(name, (slot) => ort.CreateRunOptions(slot));
  owner.adopt(options, ort.ReleaseRunOptions);
  native.check(
    ort.AddRunConfigEntry(options, 'disable_synchronize_execution_providers', '1'),
    name,
  );
  return options;
}
