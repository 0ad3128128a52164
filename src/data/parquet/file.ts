import {
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
  type AsyncBuffer,
  type FileMetaData,
} from 'hyparquet';
import { compressors } from './codecs.ts';
import { columnPages, partStarts, type ColumnPages } from './pages.ts';
import { plainValue } from '../plain-value.ts';
import { openDataFile, unreadable, type RawRow } from '../raw-row.ts';
import type { DataFile } from '../source.ts';

/** Most rows in a byte of a file. A row of text takes more than a bit, so a higher count is wrong. */
const MAX_ROWS_PER_BYTE = 64;

/** Rows `start` to `end` of a row group, `end` not included. */
export interface PartPlace {
  readonly group: number;
  readonly start: number;
  readonly end: number;
}

interface Group {
  /** Number of its first row in the file. */
  readonly first: number;
  readonly rows: number;
}

/**
 * Parquet file whose row groups are read as a whole or in parts. A binary column that is not marked as text gives bytes.
 */
export class ParquetFile {
  readonly #file: DataFile;
  readonly #buffer: AsyncBuffer;
  readonly #metadata: FileMetaData;
  readonly #groups: readonly Group[];
  /** Pages of the groups that were looked at. */
  readonly #pages = new Map<number, ColumnPages | null>();

  private constructor(file: DataFile, buffer: AsyncBuffer, metadata: FileMetaData) {
    this.#file = file;
    this.#buffer = buffer;
    this.#metadata = metadata;
    this.#groups = groupsOf(metadata, buffer.byteLength);
  }

  /** @throws DATA_INVALID if the file is missing, cut short or not Parquet */
  static open(file: DataFile): Promise<ParquetFile> {
    return orUnreadable(file, async () => {
      const buffer = await bufferOf(file.path);
      return new ParquetFile(file, buffer, await parquetMetadataAsync(buffer));
    });
  }

  /**
   * Parts of all row groups in order, each of about `bytes` bytes. A group whose pages are not known is one part.
   *
   * @throws DATA_INVALID as `open` does
   */
  async *parts(bytes: number): AsyncGenerator<PartPlace> {
    for (const group of this.#groups.keys()) yield* await this.#partsOf(group, bytes);
  }

  /** Part that contains a row of a group. @throws DATA_INVALID as `open` does, and where there is no such row */
  async partWith(group: number, row: number, bytes: number): Promise<PartPlace> {
    const parts = group < this.#groups.length ? await this.#partsOf(group, bytes) : [];
    const part = parts.find(({ end }) => row < end);
    if (part !== undefined) return part;
    const reason = `it has ${parts.at(-1)?.end ?? 0} rows, not ${row + 1}`;
    throw unreadable(this.#file.path, `row group ${group}`, reason);
  }

  /** Rows of a part. @throws DATA_INVALID as `open` does */
  rows({ group, start, end }: PartPlace): Promise<RawRow[]> {
    const { path, name } = this.#file;
    return orUnreadable(this.#file, async () => {
      const { first, rows } = this.#groups[group]!;
      const isWhole = end - start === rows;
      const pages = isWhole ? null : await this.#pagesOf(group);
      const read = await parquetReadObjects({
        ...{ file: this.#buffer, metadata: this.#metadata, compressors, utf8: false },
        ...{ rowStart: first + start, rowEnd: first + end },
        // The reader takes from here what it else takes from the file's index. Its types leave this option out.
        ...(pages && { pageLocationsByGroup: { [group]: pages } }),
      });
      return read.map((row, i): RawRow => {
        const place = { group, row: start + i };
        const line = first + start + i + 1;
        return { file: path, name, line, value: plainValue(row), place };
      });
    });
  }

  async #partsOf(group: number, bytes: number): Promise<PartPlace[]> {
    const { rows } = this.#groups[group]!;
    const rowGroup = this.#metadata.row_groups[group]!;
    const isSmall = Number(rowGroup.total_byte_size) <= bytes;
    const pages = isSmall ? null : await orUnreadable(this.#file, () => this.#pagesOf(group));
    const starts = pages === null ? [0] : partStarts(rowGroup, pages, bytes);
    return starts.map((start, i) => ({ group, start, end: starts[i + 1] ?? rows }));
  }

  async #pagesOf(group: number): Promise<ColumnPages | null> {
    const known = this.#pages.get(group);
    if (known !== undefined) return known;
    const schema = parquetSchema(this.#metadata);
    const pages = await columnPages(this.#buffer, schema, this.#metadata.row_groups[group]!);
    this.#pages.set(group, pages);
    return pages;
  }
}

/** @throws where a group claims more rows than the file can have */
function groupsOf({ row_groups: groups }: FileMetaData, fileBytes: number): Group[] {
  let first = 0;
  return groups.map(({ num_rows: count }) => {
    const group = { first, rows: Number(count) };
    first += group.rows;
    if (!(group.rows >= 0 && first <= MAX_ROWS_PER_BYTE * fileBytes)) {
      throw new Error(`it claims ${count} rows in ${fileBytes} bytes`);
    }
    return group;
  });
}

async function orUnreadable<T>({ path }: DataFile, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    throw unreadable(path, 'cannot be read as Parquet', cause);
  }
}

/** Bytes of a file, which is open while they are read. */
async function bufferOf(path: string): Promise<AsyncBuffer> {
  await using opened = await openDataFile(path);
  const { size } = await opened.stat();
  return {
    byteLength: size,
    slice: async (start, end = size) => {
      if (!(start >= 0 && start <= end && end <= size)) {
        throw new Error(`it has ${size} bytes, and points to ${start} to ${end}`);
      }
      await using handle = await openDataFile(path);
      const bytes = new Uint8Array(end - start);
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await handle.read(
          bytes,
          filled,
          bytes.length - filled,
          start + filled,
        );
        if (bytesRead === 0) throw new Error(`it ends at byte ${start + filled}`);
        filled += bytesRead;
      }
      return bytes.buffer;
    },
  };
}
