/**
 * Row groups of Parquet files that are read again when one of their rows is asked for.
 *
 * Those used last are kept within a bound, and the newest in any case. They are read one at a time, so that one more is
 * in memory while it is read. Rows that are asked for together share a reading, which is what makes shuffled reading of
 * more groups than are kept bearable: a batch reads each of its groups once.
 */
import { Turns } from '../turns.ts';
import { ColumnarThread } from './columnar-thread.ts';
import { unreadable, type GroupPlace, type RawRow } from './raw-row.ts';
import { valueBytes } from './row.ts';
import type { DataFile } from './source.ts';

/** Bytes of rows that are kept. */
const KEPT_BYTES = 2 ** 28;

/** A row group in memory. */
interface Group {
  readonly rows: readonly RawRow[];
  readonly bytes: number;
}

/** Reader of row groups. */
export class ParquetGroups {
  readonly #keptBytes: number;
  /** Groups by file and number, those used last behind the others. */
  readonly #kept = new Map<string, Group>();
  readonly #reading = new Map<string, Promise<Group>>();
  readonly #turns = new Turns();
  #bytes = 0;

  constructor(keptBytes = KEPT_BYTES) {
    this.#keptBytes = keptBytes;
  }

  /** A row by its place. @throws DATA_INVALID if its file cannot be read */
  async row(file: DataFile, { group, row }: GroupPlace): Promise<RawRow> {
    const key = `${group} ${file.path}`;
    const { rows } = this.#used(key) ?? (await this.#read(key, file, group));
    const found = rows[row];
    if (found !== undefined) return found;
    throw unreadable(file.path, `row group ${group}`, `it has ${rows.length} rows, not ${row + 1}`);
  }

  #read(key: string, file: DataFile, group: number): Promise<Group> {
    const reading =
      this.#reading.get(key) ??
      this.#turns
        .run(() => groupOf(file, group))
        .then((read) => this.#keep(key, read))
        .finally(() => this.#reading.delete(key));
    this.#reading.set(key, reading);
    return reading;
  }

  /** A group that is kept, which is now the newest. */
  #used(key: string): Group | undefined {
    const group = this.#kept.get(key);
    if (group === undefined) return undefined;
    this.#kept.delete(key);
    this.#kept.set(key, group);
    return group;
  }

  #keep(key: string, group: Group): Group {
    this.#kept.set(key, group);
    this.#bytes += group.bytes;
    for (const [oldest, { bytes }] of this.#kept) {
      if (this.#bytes <= this.#keptBytes || oldest === key) break;
      this.#kept.delete(oldest);
      this.#bytes -= bytes;
    }
    return group;
  }
}

async function groupOf(file: DataFile, group: number): Promise<Group> {
  await using thread = new ColumnarThread();
  const rows: RawRow[] = [];
  let bytes = 0;
  for await (const row of thread.rows(file, { group })) {
    rows.push(row);
    bytes += valueBytes(row.value);
  }
  return { rows, bytes };
}
