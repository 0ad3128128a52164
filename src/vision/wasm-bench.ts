import { compile, newMemory, type WasmFunction, type WasmMemory } from './wasm.ts';

const PAGE_BYTES = 2 ** 16;

/** Bytes that code may read or write behind what it is given: it takes as many at a time. */
const SLACK_BYTES = 16;

/** Kernels, and the memory that they work on. Made when first needed: a memory takes much address space. */
export class WasmBench<K extends object> {
  readonly #functions: readonly WasmFunction[];
  #made: { readonly memory: WasmMemory; readonly kernels: K } | undefined;

  /** @param functions what `K` has, by name */
  constructor(functions: readonly WasmFunction[]) {
    this.#functions = functions;
  }

  /**
   * Room for parts of these sizes, bytes, with slack behind each; the memory grows where it has to.
   *
   * @returns the kernels, the memory's bytes, and the parts' addresses in it, all valid until the next call
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

  /** Whether the bytes lie here, where the next layout would overwrite them. */
  holds(bytes: Uint8Array): boolean {
    return bytes.buffer === this.#made?.memory.buffer;
  }

  #make(): { readonly memory: WasmMemory; readonly kernels: K } {
    const memory = newMemory();
    return { memory, kernels: compile(this.#functions, memory) as K };
  }
}
