import { compile, newMemory, type WasmFunction, type WasmMemory } from './wasm.ts';

const PAGE_BYTES = 2 ** 16;

/** Bytes behind each part that a kernel may read or write, because it works on a whole vector at a time. */
const SLACK_BYTES = 16;

/** Compiled kernels and the memory they work on. Both are made at first use: a memory takes much address space. */
export class WasmKernels<K extends object> {
  readonly #functions: readonly WasmFunction[];
  #made: { readonly memory: WasmMemory; readonly kernels: K } | undefined;

  /** @param functions the members of `K` */
  constructor(functions: readonly WasmFunction[]) {
    this.#functions = functions;
  }

  /**
   * Lays out parts of the given sizes, in bytes, with slack behind each. The memory grows if it has to.
   *
   * @returns kernels, bytes of the memory, and addresses of the parts in it; all valid until the next call
   */
  layOut<P extends string>(
    sizes: Readonly<Record<P, number>>,
  ): { readonly kernels: K; readonly bytes: Uint8Array; readonly at: Readonly<Record<P, number>> } {
    const { memory, kernels } = (this.#made ??= this.#make());
    let end = 0;
    const at = {} as Record<P, number>;
    for (const [part, size] of Object.entries<number>(sizes)) {
      at[part as P] = end;
      end += Math.ceil((size + SLACK_BYTES) / SLACK_BYTES) * SLACK_BYTES;
    }
    const missing = end - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
    return { kernels, bytes: new Uint8Array(memory.buffer), at };
  }

  /** Tells whether bytes lie in this memory, where the next layout overwrites them. */
  holds(bytes: Uint8Array): boolean {
    return bytes.buffer === this.#made?.memory.buffer;
  }

  #make(): { readonly memory: WasmMemory; readonly kernels: K } {
    const memory = newMemory();
    return { memory, kernels: compile(this.#functions, memory) as K };
  }
}
