import type { WasmMemory } from './wasm.ts';

const PAGE_BYTES = 2 ** 16;

/** Bytes that code may read or write behind what it is given: it takes as many at a time. */
const SLACK_BYTES = 16;

/** Addresses of parts of a memory of these sizes, bytes, with slack behind each; it grows where it has to. */
export function layOut<K extends string>(
  memory: WasmMemory,
  sizes: Readonly<Record<K, number>>,
): Record<K, number> {
  let end = 0;
  const addresses = {} as Record<K, number>;
  for (const [part, size] of Object.entries<number>(sizes)) {
    addresses[part as K] = end;
    end += Math.ceil((size + SLACK_BYTES) / SLACK_BYTES) * SLACK_BYTES;
  }
  const missing = end - memory.buffer.byteLength;
  if (missing > 0) memory.grow(Math.ceil(missing / PAGE_BYTES));
  return addresses;
}
