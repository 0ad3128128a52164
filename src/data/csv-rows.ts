import { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { CsvError, parse, type Info } from 'csv-parse';
import { brokenRow, chunksOf, openDataFile, unreadable, type RawRow } from './raw-row.ts';
import type { DataFile } from './source.ts';

/** Longest record. A quote that is not closed would otherwise take the rest of the file. */
const MAX_RECORD_CHARACTERS = 2 ** 28;

/**
 * Rows of a CSV file whose first record names the columns. A row's line is the line of its last character.
 *
 * A file whose name ends in `.gz` is inflated on the way. Every cell is text. `decodeRow` reads a cell of images as a
 * list.
 *
 * @throws DATA_INVALID if the file cannot be read, or a quote is not closed
 */
export async function* csvRows(source: DataFile): AsyncGenerator<RawRow> {
  const { path: file, name } = source;
  await using handle = await openDataFile(file);
  const parser = parse({
    bom: true,
    info: true,
    max_record_size: MAX_RECORD_CHARACTERS,
    relax_column_count: true,
    skip_empty_lines: true,
  });
  const fail = (error: Error): unknown => parser.destroy(error);
  const bytes = Readable.from(chunksOf(handle), { objectMode: false }).on('error', fail);
  const text = file.endsWith('.gz') ? bytes.pipe(createGunzip()).on('error', fail) : bytes;
  const records = text.pipe(parser);
  let columns: readonly string[] | null = null;
  try {
    for await (const { record, info } of records as AsyncIterable<CsvRecord>) {
      const line = info.lines;
      if (columns === null) {
        columns = record;
      } else if (record.length !== columns.length) {
        const counts = `${record.length} cells for ${columns.length} columns`;
        yield brokenRow(source, line, counts);
      } else {
        const value = Object.fromEntries(columns.map((column, i) => [column, record[i]]));
        yield { file, name, line, value, isText: true };
      }
    }
  } catch (cause) {
    throw unreadable(file, cause instanceof CsvError ? 'not CSV' : 'cannot be read', cause);
  }
}

interface CsvRecord {
  readonly record: readonly string[];
  readonly info: Info;
}
