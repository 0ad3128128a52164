/** Memory that the actors of one process share, and the markers in their props that stand for it. */
import { CxmindError } from '../../src/errors.ts';
import { fileBuffer } from '../../src/tensor/file-memory.ts';
import { sharedBuffer, type SharedMemory } from '../../src/tensor/memory.ts';

/**
 * Marker in an actor's props of a block of memory that all actors of one process share.
 *
 * Each process has its own block of a name. It is made, filled with zeros, when the first actor wants it, and is kept
 * until the process ends. Weights thus exist once in a process, and get to other processes by other means.
 */
export interface SharedMarker {
  readonly $shared: string;
  readonly sizeBytes: number;
  /** True for a block that lies in a file, from which it comes to memory as it is touched. Default false. */
  readonly isInFile?: boolean;
}

/** Props with markers in place of the shared memory that the actor will find there. */
export type WithSharedBlocks<T> = T extends SharedMemory
  ? SharedMemory | SharedMarker
  : T extends ArrayBufferView | ((...args: never) => unknown)
    ? T
    : T extends object
      ? { readonly [K in keyof T]: WithSharedBlocks<T[K]> }
      : T;

/** Blocks of this process, by name. */
export class SharedBlocks {
  readonly #blocks = new Map<string, SharedMemory>();

  /**
   * Finds the block of that name, or makes it at the first call.
   *
   * @throws SHAPE_MISMATCH for a block of that name and another size
   */
  get({ $shared: name, sizeBytes, isInFile = false }: SharedMarker): SharedMemory {
    let block = this.#blocks.get(name);
    if (block === undefined) {
      block = isInFile ? fileBuffer(sizeBytes) : sharedBuffer(sizeBytes);
      this.#blocks.set(name, block);
    }
    if (block.byteLength !== sizeBytes) {
      const sizes = `${block.byteLength} bytes, asked for ${sizeBytes}`;
      throw new CxmindError('SHAPE_MISMATCH', `shared block ${name} has ${sizes}`);
    }
    return block;
  }

  /** Copies plain data with the blocks of this process in place of their markers. */
  resolve(value: unknown): unknown {
    if (Array.isArray(value)) return value.map((item) => this.resolve(item));
    if (!isPlain(value)) return value;
    if (isMarker(value)) return this.get(value);
    return Object.fromEntries(
      Object.entries(value).map(([key, field]) => [key, this.resolve(field)]),
    );
  }
}

function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function isMarker(value: object): value is SharedMarker {
  const { $shared, sizeBytes, isInFile = false, ...others } = value as Partial<SharedMarker>;
  return (
    typeof $shared === 'string' &&
    Number.isSafeInteger(sizeBytes) &&
    typeof isInFile === 'boolean' &&
    Object.keys(others).length === 0
  );
}
