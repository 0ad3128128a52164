/** Places of the pages of a row group, by which a part of it is read without the rest. */
import {
  readOffsetIndex,
  type AsyncBuffer,
  type ColumnChunk,
  type ColumnMetaData,
  type OffsetIndex,
  type PageHeader,
  type RowGroup,
  type SchemaTree,
} from 'hyparquet';
import { parquetHeader } from 'hyparquet/src/column.js';
import { decompressPage } from 'hyparquet/src/datapage.js';
import { readRleBitPackedHybrid } from 'hyparquet/src/encoding.js';
import { getMaxRepetitionLevel, getTreePath } from 'hyparquet/src/schema.js';
import { compressors } from './codecs.ts';

type PageLocation = OffsetIndex['page_locations'][number];

/** Pages by the path of their column. */
export type ColumnPages = Readonly<Record<string, PageLocation[]>>;

/**
 * The pages of every column of a row group: by the file's offset index, else by their headers. Pages between which a row
 * goes on count as one.
 *
 * @returns null where they are not known
 */
export async function columnPages(
  file: AsyncBuffer,
  schema: SchemaTree,
  group: RowGroup,
): Promise<ColumnPages | null> {
  const columns: Record<string, PageLocation[]> = {};
  for (const chunk of group.columns) {
    const { meta_data: column } = chunk;
    if (column === undefined) return null;
    const pages = await (chunk.offset_index_offset !== undefined && chunk.offset_index_length
      ? indexedPages(file, chunk)
      : walkedPages(file, column, mostRepeated(schema, column)));
    if (!isCovering(pages, Number(group.num_rows))) return null;
    columns[column.path_in_schema.join('.')] = pages;
  }
  return columns;
}

/** First row of each part of a group. A part is whole pages of the largest column: `bytes` bytes or a little more. */
export function partStarts(group: RowGroup, columns: ColumnPages, bytes: number): number[] {
  const sizes = Object.values(columns).map((pages) => ({
    pages,
    size: pages.reduce((sum, page) => sum + page.compressed_page_size, 0),
  }));
  const { pages } = sizes.reduce((largest, one) => (one.size > largest.size ? one : largest));
  const rowBytes = Number(group.total_byte_size) / Number(group.num_rows);
  const starts = [0];
  for (const { first_row_index: first } of pages) {
    if ((Number(first) - starts.at(-1)!) * rowBytes >= bytes) starts.push(Number(first));
  }
  return starts;
}

async function indexedPages(file: AsyncBuffer, chunk: ColumnChunk): Promise<PageLocation[]> {
  const start = Number(chunk.offset_index_offset);
  const bytes = await file.slice(start, start + chunk.offset_index_length!);
  return readOffsetIndex({ view: new DataView(bytes), offset: 0 }).page_locations;
}

/** @param most largest repetition level: 0 where a row has one value at most */
async function walkedPages(
  file: AsyncBuffer,
  column: ColumnMetaData,
  most: number,
): Promise<PageLocation[]> {
  const pages: PageLocation[] = [];
  const start = Number(column.dictionary_page_offset || column.data_page_offset);
  const end = start + Number(column.total_compressed_size);
  let row = 0;
  for (let at = start; at < end;) {
    const { header, bodyAt } = await headerAt(file, at, end);
    const next = bodyAt + header.compressed_page_size;
    const begun = await begunIn(file, bodyAt, header, column.codec, most);
    const last = pages.at(-1);
    if (begun?.isContinued === true && last !== undefined) last.compressed_page_size += next - at;
    else if (begun !== null) {
      const place = { offset: BigInt(at), first_row_index: BigInt(row) };
      pages.push({ ...place, compressed_page_size: next - at });
    }
    row += begun?.rows ?? 0;
    at = next;
  }
  return pages;
}

/** Bytes in which most headers end. One with statistics of long texts has more. */
const HEADER_BYTES = 2 ** 9;

/** The header of a page, and where it ends. */
async function headerAt(
  file: AsyncBuffer,
  at: number,
  end: number,
): Promise<{ readonly header: PageHeader; readonly bodyAt: number }> {
  for (let bytes = HEADER_BYTES; ; bytes *= 16) {
    const stop = Math.min(at + bytes, end);
    const reader = { view: new DataView(await file.slice(at, stop)), offset: 0 };
    try {
      const header = parquetHeader(reader);
      if (header.compressed_page_size >= 0) return { header, bodyAt: at + reader.offset };
      throw new Error('a page has no header');
    } catch (error) {
      if (stop === end) throw error;
    }
  }
}

/** Rows that begin in a page of a column with lists. */
interface BegunRows {
  readonly rows: number;
  /** Tells whether the page begins inside a row that began in the page before it. */
  readonly isContinued: boolean;
}

/** Rows that begin in a page; null for one that is no page of data. */
async function begunIn(
  file: AsyncBuffer,
  at: number,
  header: PageHeader,
  codec: ColumnMetaData['codec'],
  most: number,
): Promise<BegunRows | null> {
  const { data_page_header: first, data_page_header_v2: second } = header;
  // Version 2 counts rows. Version 1 counts values, which are rows where a row has one at most.
  if (second !== undefined) return { rows: second.num_rows, isContinued: false };
  if (first === undefined) return null;
  if (most === 0) return { rows: first.num_values, isContinued: false };
  const page = new Uint8Array(await file.slice(at, at + header.compressed_page_size));
  const plain = decompressPage(page, header.uncompressed_page_size, codec, compressors);
  return begunRows(plain, first.num_values, most);
}

/**
 * Counts the rows that begin in a page of version 1, by its repetition levels, which it begins with: a value of level 0
 * is the first of its row.
 *
 * @param values number of its values
 * @param most   largest level of the column
 * @throws where the page ends before them
 */
export function begunRows(page: Uint8Array, values: number, most: number): BegunRows {
  const view = new DataView(page.buffer, page.byteOffset, page.byteLength);
  const levels = new Uint8Array(values);
  readRleBitPackedHybrid({ view, offset: 0 }, 32 - Math.clz32(most), levels);
  const rows = levels.reduce((sum, level) => sum + Number(level === 0), 0);
  return { rows, isContinued: levels.length > 0 && levels[0] !== 0 };
}

/** Largest repetition level of a column: the number of lists that its values are in. */
function mostRepeated(schema: SchemaTree, { path_in_schema: path }: ColumnMetaData): number {
  return getMaxRepetitionLevel(getTreePath(schema, path));
}

/** Tells whether pages cover the rows of a group one after the other. */
function isCovering(pages: readonly PageLocation[], rows: number): boolean {
  return (
    pages.length > 0 &&
    pages.every(({ first_row_index: first }, i) => {
      const previous = pages[i - 1];
      if (previous === undefined) return Number(first) === 0;
      return first >= previous.first_row_index && Number(first) < rows;
    })
  );
}
