/**
 * Parts of Parquet files that are read again when one of their rows is asked for: pages of a row group where those are
 * known, else all of it.
 *
 * They are read one at a time. All rows that wait for a part get it at once, so that a batch reads each of its parts
 * once. Those used last are kept within a bound, and the newest in any case.
 */
import { LRUCache } from 'lru-cache';
import type { ParquetFile, PartPlace } from './file.ts';
import { withOwnBytes } from '../plain-value.ts';
import type { GroupPlace, RawRow } from '../raw-row.ts';
import { valueBytes } from '../row.ts';
import type { DataFile } from '../source.ts';

/** Bytes of rows that are kept. The heap grows to several times that, since rows let go are collected late. */
const KEPT_BYTES = 2 ** 26;
/** Least bytes of a part: those of a page as most writers make it. */
const PART_BYTES = 2 ** 20;
/** Files whose footers are kept. */
const KEPT_FILES = 256;

interface Part extends PartPlace {
  readonly path: string;
  readonly rows: readonly RawRow[];
  readonly bytes: number;
}

/** A row that is waited for. */
interface Wanted extends PromiseWithResolvers<RawRow> {
  readonly file: DataFile;
  readonly place: GroupPlace;
}

/** Reader of rows by their places. It reads files that were read before, and does not guard against corrupt ones. */
export class ParquetParts {
  readonly #keptBytes: number;
  /** Parts, those used last behind the others. */
  readonly #kept = new Set<Part>();
  readonly #files = new LRUCache<string, ParquetFile>({ max: KEPT_FILES });
  #wanted: readonly Wanted[] = [];
  #isReading = false;
  #bytes = 0;

  constructor(keptBytes = KEPT_BYTES) {
    this.#keptBytes = keptBytes;
  }

  /** A row by its place. @throws DATA_INVALID if its file cannot be read, or has no such row */
  async row(file: DataFile, place: GroupPlace): Promise<RawRow> {
    const part = this.#kept.values().find((one) => holds(one, { file, place }));
    if (part !== undefined) {
      this.#kept.delete(part);
      this.#kept.add(part);
      return rowOf(part, place);
    }
    const wanted = { file, place, ...Promise.withResolvers<RawRow>() };
    this.#wanted = [...this.#wanted, wanted];
    if (!this.#isReading) void this.#readWanted();
    return await wanted.promise;
  }

  async #readWanted(): Promise<void> {
    this.#isReading = true;
    for (let [next] = this.#wanted; next !== undefined; [next] = this.#wanted) {
      try {
        const part = await this.#read(next);
        this.#keep(part);
        for (const { place, resolve } of this.#taken((one) => holds(part, one))) {
          resolve(rowOf(part, place));
        }
      } catch (error) {
        for (const { reject } of this.#taken((one) => one === next)) reject(error);
      }
    }
    this.#isReading = false;
  }

  /** Removes some of the wanted rows, and returns them. */
  #taken(isMeant: (one: Wanted) => boolean): readonly Wanted[] {
    const taken = this.#wanted.filter(isMeant);
    this.#wanted = this.#wanted.filter((one) => !isMeant(one));
    return taken;
  }

  async #read({ file, place: { group, row } }: Wanted): Promise<Part> {
    const { path } = file;
    const opened = this.#files.get(path) ?? (await openParquet(file));
    this.#files.set(path, opened);
    const place = await opened.partWith(group, row, PART_BYTES);
    const read = await opened.rows(place);
    const rows = read.map((raw): RawRow => ({ ...raw, value: withOwnBytes(raw.value) }));
    const bytes = rows.reduce((sum, { value }) => sum + valueBytes(value), 0);
    return { ...place, path, rows, bytes };
  }

  #keep(part: Part): void {
    this.#kept.add(part);
    this.#bytes += part.bytes;
    for (const oldest of this.#kept) {
      if (this.#bytes <= this.#keptBytes || oldest === part) break;
      this.#kept.delete(oldest);
      this.#bytes -= oldest.bytes;
    }
  }
}

/** Opens a file by the reader of Parquet, whose 25 MiB of code are loaded with the first. */
async function openParquet(file: DataFile): Promise<ParquetFile> {
  const { ParquetFile } = await import('./file.ts');
  return await ParquetFile.open(file);
}

function holds(part: Part, { file, place }: Pick<Wanted, 'file' | 'place'>): boolean {
  const { group, row } = place;
  return part.path === file.path && part.group === group && row >= part.start && row < part.end;
}

function rowOf(part: Part, { row }: GroupPlace): RawRow {
  return part.rows[row - part.start]!;
}
