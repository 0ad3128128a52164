import { CxmindError } from '../../src/errors.ts';
import { fileBuffer } from '../../src/tensor/file-memory.ts';
import { sharedBuffer, type SharedMemory } from '../../src/tensor/memory.ts';

/**
 * Stands in an actor's props for a block of memory that all actors of one process share.
 *
 * Each process has its own block of a name, made zero-filled when the first actor wants it and kept until the
 * process ends: weights exist once per process, and their bytes get to other processes by other means.
 */
export interface SharedMarker {
  readonly $shared: string;
  readonly sizeBytes: number;
  /** Whether the block lies in a file, from where it comes to memory as it is touched; not where it is absent. */
  readonly isInFile?: boolean;
}

/** Props in which markers may stand where an actor finds shared memory. */
export type WithSharedBlocks<T> = T extends SharedMemory
  ? SharedMemory | SharedMarker
  : T extends ArrayBufferView | ((...args: never) => unknown)
    ? T
    : T extends object
      ? { readonly [K in keyof T]: WithSharedBlocks<T[K]> }
      : T;

/** The blocks of this process, by name. */
export class SharedBlocks {
  readonly #blocks = new Map<string, SharedMemory>();

  /**
   * The block of that name, made at the first call.
   *
   * @throws SHAPE_MISMATCH when there is one of another size
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

  /** The same plain data with the blocks of this process in place of their markers. */
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
