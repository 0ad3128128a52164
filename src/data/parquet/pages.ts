/** Places of the pages of a row group, by which a part of it is read without the rest. */
import {
  readOffsetIndex,
  type AsyncBuffer,
  type ColumnChunk,
  type ColumnMetaData,
  type OffsetIndex,
  type RowGroup,
  type SchemaTree,
} from 'hyparquet';
import { readPageHeader, type PageHeader } from './page-header.ts';
import { compressors } from './codecs.ts';
import { begunRows, type BegunRows } from './repetition-levels.ts';

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
      : walkedPages(file, column, repetition(schema, column.path_in_schema)));
    if (pages === null || !isCovering(pages, Number(group.num_rows))) return null;
    columns[column.path_in_schema.join('.')] = pages;
  }
  return columns;
}

/** First rows of parts of a group, at whole pages of its largest column, each part of `bytes` or a little more. */
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
): Promise<PageLocation[] | null> {
  const pages: PageLocation[] = [];
  const start = Number(column.dictionary_page_offset || column.data_page_offset);
  const end = start + Number(column.total_compressed_size);
  let row = 0;
  for (let at = start; at < end;) {
    const header = await headerAt(file, at, end);
    const { headerBytes, pageBytes, values, countsRows } = header;
    const size = headerBytes + pageBytes;
    if (values !== null) {
      const begun =
        countsRows || most === 0
          ? { rows: values, isContinued: false }
          : await begunIn(file, at, { ...header, values }, column.codec, most);
      if (begun === null) return null;
      const last = pages.at(-1);
      if (begun.isContinued && last !== undefined) last.compressed_page_size += size;
      else {
        const place = { offset: BigInt(at), first_row_index: BigInt(row) };
        pages.push({ ...place, compressed_page_size: size });
      }
      row += begun.rows;
    }
    at += size;
  }
  return pages;
}

/** Rows that begin in a page; null where its codec is not known. */
async function begunIn(
  file: AsyncBuffer,
  at: number,
  { headerBytes, pageBytes, plainBytes, values }: PageHeader & { readonly values: number },
  codec: ColumnMetaData['codec'],
  most: number,
): Promise<BegunRows | null> {
  const decompress = codec === 'UNCOMPRESSED' ? undefined : compressors[codec];
  if (codec !== 'UNCOMPRESSED' && decompress === undefined) return null;
  const from = at + headerBytes;
  const page = new Uint8Array(await file.slice(from, from + pageBytes));
  return begunRows(decompress?.(page, plainBytes) ?? page, values, most);
}

/** Bytes in which most headers end. One with statistics of long texts has more. */
const HEADER_BYTES = 2 ** 9;

async function headerAt(file: AsyncBuffer, at: number, end: number): Promise<PageHeader> {
  for (let bytes = HEADER_BYTES; ; bytes *= 16) {
    const stop = Math.min(at + bytes, end);
    try {
      return readPageHeader(new Uint8Array(await file.slice(at, stop)));
    } catch (error) {
      if (!(error instanceof RangeError) || stop === end) throw error;
    }
  }
}

/** Largest repetition level of a column: the number of lists that its values are in. */
function repetition(schema: SchemaTree, path: readonly string[]): number {
  const [name, ...inner] = path;
  if (name === undefined) return 0;
  const child = schema.children.find(({ element }) => element.name === name);
  if (child === undefined) throw new Error(`its schema has no column ${name}`);
  return Number(child.element.repetition_type === 'REPEATED') + repetition(child, inner);
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
