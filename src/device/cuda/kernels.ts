import type { Kernel, Launch } from '../../graph/kernel.ts';
import { Driver, type DeviceFunction } from './driver.ts';
import { Nvrtc } from './nvrtc.ts';

/** The kernels of one device. Each is compiled once, for the first graph that has it. */
export class Kernels implements Disposable {
  readonly #architecture: string;
  readonly #driver = new Driver();
  readonly #nvrtc = new Nvrtc();
  readonly #modules: bigint[] = [];
  readonly #functions = new Map<string, DeviceFunction>();

  /** @throws DEVICE_MISSING without the driver or the compiler */
  constructor(architecture: string) {
    this.#architecture = architecture;
  }

  /** Compiles those kernels that are not compiled yet, all at once. */
  prepare(kernels: readonly Kernel[]): void {
    const missing = new Map(
      kernels.filter(({ entry }) => !this.#functions.has(entry)).map((k) => [k.entry, k]),
    );
    if (missing.size === 0) return;
    const { cubin, entries } = this.#nvrtc.compile([...missing.values()], this.#architecture);
    const module = this.#driver.load(cubin);
    this.#modules.push(module);
    for (const entry of entries) this.#functions.set(entry, this.#driver.find(module, entry));
  }

  /** Queues a launch of a prepared kernel. */
  launch(kernel: Kernel, launch: Launch, addresses: readonly bigint[], stream: bigint): void {
    this.#driver.launch(this.#functions.get(kernel.entry)!, launch, addresses, stream);
  }

  [Symbol.dispose](): void {
    for (const module of this.#modules) this.#driver.unload(module);
    this.#functions.clear();
  }
}
