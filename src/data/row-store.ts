/**
 * Rows of a data set that stay in their files: a row is read when it is asked for, so a set may be larger than memory.
 *
 * That holds for JSON Lines, whose rows are found by their offset, and for Parquet, whose pages are read again
 * (`parquet/parts.ts`). Such a row takes 20 bytes of memory: its place, and the number of its pictures. Rows of other
 * files are held in memory, and so are rows of Parquet until they take too much of it.
 */
import { stat } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { CxmindError } from '../errors.ts';
import { decodeRow } from './decode-row.ts';
import { ParquetParts } from './parquet/parts.ts';
import type { RawRow } from './raw-row.ts';
import { picturesOf, rowBytes, type DatasetRow, type RowKeys } from './row.ts';
import type { DataFile } from './source.ts';

/** Rows by their number. */
export interface RowStore {
  readonly length: number;
  /** @throws DATA_INVALID if the row's file cannot be read, or has changed */
  at(index: number): Promise<DatasetRow>;
  /** Number of a row's images, or of frames of its videos. */
  pictureCount(index: number): number;
}

/** Rows that are in memory. */
export function heldRows(rows: readonly DatasetRow[]): RowStore {
  return {
    length: rows.length,
    at: (index) => Promise.resolve(rows[index]!),
    pictureCount: (index) => picturesOf(rows[index]!).length,
  };
}

/** Some rows of a store, in the order of `indices`. */
export function selectedRows(rows: RowStore, indices: Uint32Array): RowStore {
  return {
    length: indices.length,
    at: (index) => rows.at(indices[index]!),
    pictureCount: (index) => rows.pictureCount(indices[index]!),
  };
}

/** Rows of one store, then those of another. */
export function joinedRows(first: RowStore, second: RowStore): RowStore {
  const { length } = first;
  return {
    length: length + second.length,
    at: (index) => (index < length ? first.at(index) : second.at(index - length)),
    pictureCount: (index) =>
      index < length ? first.pictureCount(index) : second.pictureCount(index - length),
  };
}

/**
 * Bytes of rows of Parquet that a set holds: an eighth of the memory of the machine, or of the container.
 *
 * A row that is not held costs the reading of its pages, so as many are held as leave room for the models.
 */
function defaultHeldBytes(): number {
  return Math.min(totalmem(), process.constrainedMemory() || Infinity) / 8;
}

/** Places of 2^12 rows. */
interface PlaceBlock {
  /** Offset of the row in its file, for JSON Lines; number of its row group in a Parquet file. */
  readonly start: Float64Array;
  /** Length of the row in bytes, for JSON Lines; its number in its row group. */
  readonly extent: Uint32Array;
  readonly line: Uint32Array;
  readonly pictures: Uint32Array;
}

const BLOCK_BITS = 12;
/** File whose rows are read again, as it was when they were counted. */
interface IndexedFile {
  readonly file: DataFile;
  /** Number of its first row in the store. */
  readonly first: number;
  readonly version: string;
}

/** Rows of one or several files. */
export class FileRows implements RowStore {
  readonly #keys: RowKeys;
  readonly #files: IndexedFile[] = [];
  readonly #blocks: PlaceBlock[] = [];
  readonly #held = new Map<number, DatasetRow>();
  readonly #parts = new ParquetParts();
  /** Rows that are in use. Asking for one again gives the same object, by which its sample is found. */
  readonly #living = new Map<number, WeakRef<DatasetRow>>();
  readonly #dead = new FinalizationRegistry<number>((index) => {
    if (this.#living.get(index)?.deref() === undefined) this.#living.delete(index);
  });
  /** Bytes of rows of Parquet that may yet be held. */
  #room: number;
  #length = 0;

  /** @param heldBytes bytes of rows of Parquet that are held */
  constructor(keys: RowKeys, heldBytes = defaultHeldBytes()) {
    this.#keys = keys;
    this.#room = heldBytes;
  }

  get length(): number {
    return this.#length;
  }

  /** Opens a file, whose rows are added next. */
  async open(file: DataFile): Promise<void> {
    this.#files.push({ file, first: this.#length, version: await versionOf(file.path) });
  }

  /** Adds the next row of the file that was opened last. */
  add(raw: RawRow, row: DatasetRow): void {
    const at = this.#length & (2 ** BLOCK_BITS - 1);
    if (at === 0) this.#blocks.push(placeBlock());
    const block = this.#blocks.at(-1)!;
    block.line[at] = row.line;
    block.pictures[at] = picturesOf(row).length;
    const { range, place } = raw;
    if (range !== undefined) [block.start[at], block.extent[at]] = [range.start, range.bytes];
    else if (place !== undefined && !this.#hasRoomFor(row)) {
      [block.start[at], block.extent[at]] = [place.group, place.row];
    } else this.#held.set(this.#length, row);
    this.#length++;
  }

  /** Takes room for a row of Parquet, if there is enough. */
  #hasRoomFor(row: DatasetRow): boolean {
    this.#room -= rowBytes(row);
    return this.#room >= 0;
  }

  pictureCount(index: number): number {
    return this.#block(index).pictures[index & (2 ** BLOCK_BITS - 1)]!;
  }

  async at(index: number): Promise<DatasetRow> {
    const held = this.#held.get(index) ?? this.#living.get(index)?.deref();
    if (held !== undefined) return held;
    const { file, version } = this.#files.findLast(({ first }) => first <= index)!;
    if ((await versionOf(file.path)) !== version) {
      const reason = 'it has changed since its rows were counted';
      throw new CxmindError('DATA_INVALID', `${file.path}: ${reason}`);
    }
    const row = decodeRow(await this.#rawRow(file, index), this.#keys);
    // Somebody else may have asked for it meanwhile.
    const living = this.#living.get(index)?.deref();
    if (living !== undefined) return living;
    this.#living.set(index, new WeakRef(row));
    this.#dead.register(row, index);
    return row;
  }

  async #rawRow(file: DataFile, index: number): Promise<RawRow> {
    const at = index & (2 ** BLOCK_BITS - 1);
    const block = this.#block(index);
    const [start, extent] = [block.start[at]!, block.extent[at]!];
    if (file.format === 'parquet') return this.#parts.row(file, { group: start, row: extent });
    const { jsonRowAt } = await import('./json-rows.ts');
    return jsonRowAt(file, block.line[at]!, { start, bytes: extent });
  }

  #block(index: number): PlaceBlock {
    return this.#blocks[index >> BLOCK_BITS]!;
  }
}

function placeBlock(): PlaceBlock {
  const rows = 2 ** BLOCK_BITS;
  return {
    start: new Float64Array(rows),
    extent: new Uint32Array(rows),
    line: new Uint32Array(rows),
    pictures: new Uint32Array(rows),
  };
}

/** Size and time of a file, which change with its content. */
async function versionOf(path: string): Promise<string> {
  const { size, mtimeMs } = await stat(path).catch(() => ({ size: -1, mtimeMs: 0 }));
  return `${size} ${mtimeMs}`;
}
