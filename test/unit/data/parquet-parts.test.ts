import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { parquetMetadataAsync, parquetSchema, type AsyncBuffer, type RowGroup } from 'hyparquet';
import { ParquetFile, type PartPlace } from '../../../src/data/parquet/file.ts';
import { begunRows, columnPages } from '../../../src/data/parquet/pages.ts';
import { ParquetParts } from '../../../src/data/parquet/parts.ts';
import type { RawRow } from '../../../src/data/raw-row.ts';
import type { DataFile } from '../../../src/data/source.ts';
import { goldenPath } from '../../support/golden.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const [COUNT, GROUP] = [60, 40];

function tableOf(name: string): DataFile {
  return { path: goldenPath(`tables/${name}.parquet`), name, format: 'parquet' };
}

/** The row of a number in the files of `generate_paged.py`. */
function rowOf(i: number, hasList: boolean): Record<string, unknown> {
  const image = i % 5 === 0 ? null : { bytes: new Uint8Array(30).fill(i), path: `${i}.png` };
  const images = Array.from({ length: i % 4 }, (_, j) => ({
    bytes: Uint8Array.from({ length: 40 }, (_, at) => (at % 2 === 0 ? i : j)),
    path: null,
  }));
  return {
    prompt: `${i} ${'word '.repeat(i % 7)}`,
    answer: 'ABCD'[i % 4],
    image,
    level: i % 4 === 0 ? null : i,
    ...(hasList && { images }),
  };
}

function assertRow({ line, value, place }: RawRow, i: number, hasList: boolean): void {
  assert.equal(line, i + 1);
  assert.deepEqual(place, { group: Math.floor(i / GROUP), row: i % GROUP });
  assert.deepEqual(structuredClone(value), rowOf(i, hasList));
}

describe('ParquetFile', () => {
  for (const [name, hasList] of [
    ['indexed', true],
    ['headers', false],
    ['version2', true],
    ['lists', true],
  ] as const) {
    it(`reads parts of row groups by their pages: ${name}.parquet`, async () => {
      const file = await ParquetFile.open(tableOf(name));
      for (const bytes of [1, 1500, 1e6]) {
        const parts: PartPlace[] = await Array.fromAsync(file.parts(bytes));
        const sizes = parts.map(({ start, end }) => end - start);
        if (bytes === 1e6) assert.deepEqual(sizes, [GROUP, COUNT - GROUP]);
        else assert.ok(Math.max(...sizes) < (bytes === 1 ? 10 : GROUP), String(sizes));
        // Backwards: no part may lean on one that was read before.
        const rows = new Map<PartPlace, RawRow[]>();
        for (const part of parts.toReversed()) rows.set(part, await file.rows(part));
        const all = parts.flatMap((part) => rows.get(part)!);
        assert.equal(all.length, COUNT);
        all.forEach((row, i) => assertRow(row, i, hasList));
      }
    });
  }

  it('reads no page that a part has no row of', async () => {
    const bytes = readFileSync(goldenPath('tables/indexed.parquet'));
    const buffer: AsyncBuffer = {
      byteLength: bytes.length,
      slice: (start, end) => Uint8Array.from(bytes.subarray(start, end)).buffer,
    };
    const metadata = await parquetMetadataAsync(buffer);
    const part = { group: 0, start: 0, end: 8 };
    const pages = await columnPages(buffer, parquetSchema(metadata), metadata.row_groups[0]!);
    const others = Object.values(pages!).flatMap((column) =>
      column.filter(({ first_row_index: first }) => Number(first) >= part.end),
    );
    assert.ok(others.length > 10);
    for (const { offset, compressed_page_size: size } of others) {
      bytes.fill(0xff, Number(offset), Number(offset) + size);
    }
    using directory = new TemporaryDirectory();
    const path = directory.write('damaged.parquet', bytes);
    const file = await ParquetFile.open({ ...tableOf('indexed'), path });
    (await file.rows(part)).forEach((row, i) => assertRow(row, i, true));
    await assert.rejects(file.rows({ ...part, end: 40 }), { code: 'DATA_INVALID' });
  });

  it('finds the part of a row, and says which row groups have none', async () => {
    const file = await ParquetFile.open(tableOf('headers'));
    const { group, start, end } = await file.partWith(1, 13, 1);
    assert.ok(group === 1 && start <= 13 && end > 13);
    for (const [wrong, row, rows] of [
      [1, 20, 20],
      [2, 0, 0],
    ] as const) {
      await assert.rejects(file.partWith(wrong, row, 1), {
        code: 'DATA_INVALID',
        message: new RegExp(
          `headers\\.parquet: row group ${wrong}: it has ${rows} rows, not ${row + 1}$`,
        ),
      });
    }
  });
});

describe('ParquetParts', () => {
  const file = tableOf('snappy');

  it('keeps the parts that were used last, and the newest in any case', async () => {
    const two = new ParquetParts(1e6);
    const first = await two.row(file, { group: 0, row: 0 });
    await two.row(file, { group: 1, row: 0 });
    assert.equal(await two.row(file, { group: 0, row: 0 }), first);
    const one = new ParquetParts(1);
    const [newest, same] = await Promise.all([
      one.row(file, { group: 0, row: 1 }),
      one.row(file, { group: 0, row: 1 }),
    ]);
    assert.equal(newest, same);
    assert.equal(await one.row(file, { group: 0, row: 1 }), newest);
    assert.deepEqual((await one.row(file, { group: 1, row: 0 })).line, 3);
    assert.notEqual(await one.row(file, { group: 0, row: 1 }), newest);
    await assert.rejects(one.row(file, { group: 1, row: 1 }), {
      code: 'DATA_INVALID',
      message: /snappy\.parquet: row group 1: it has 1 rows, not 2$/,
    });
  });

  it('holds of a page no more than the bytes of its rows', async () => {
    const { value } = await new ParquetParts().row(tableOf('indexed'), { group: 0, row: 1 });
    const { bytes } = (value as { image: { bytes: Uint8Array } }).image;
    assert.equal(bytes.buffer.byteLength, 30);
  });
});

describe('columnPages', () => {
  /** The pages of a column of integers, by the bytes of its pages. */
  const pagesOf = async (pages: readonly number[][], repeated: boolean, rows: bigint) => {
    const bytes = Uint8Array.from(pages.flat());
    const buffer: AsyncBuffer = {
      byteLength: bytes.length,
      slice: (start, end) => bytes.slice(start, end).buffer,
    };
    const repetition_type = repeated ? 'REPEATED' : 'REQUIRED';
    const schema = parquetSchema({
      schema: [
        { name: 'root', num_children: 1 },
        { name: 'of', repetition_type, type: 'INT32' },
      ],
    });
    const column = { path_in_schema: ['of'], codec: 'UNCOMPRESSED', data_page_offset: 0n };
    const chunk = { meta_data: { ...column, total_compressed_size: BigInt(bytes.length) } };
    const group = { columns: [chunk], num_rows: rows } as unknown as RowGroup;
    return columnPages(buffer, schema, group);
  };

  it('takes pages between which a row goes on as one', async () => {
    // Lists of 2, 3 and 1 values in pages of 2, 1 and 3 values: the second list begins in the second page.
    const levels = [[0, 1], [0], [1, 1, 0]];
    const pages = levels.map((page) => {
      const runs = [0, 0, 0, 0, ...page.flatMap((level) => [1 << 1, level])];
      const bytes = runs.length << 1;
      const header = [0x15, 0, 0x15, bytes, 0x15, bytes, 0x2c, 0x15, page.length << 1, 0, 0];
      return [...header, ...runs];
    });
    const [first, second, third] = pages.map(({ length }) => length);
    assert.deepEqual(await pagesOf(pages, true, 3n), {
      of: [
        { offset: 0n, first_row_index: 0n, compressed_page_size: first },
        { offset: BigInt(first!), first_row_index: 1n, compressed_page_size: second! + third! },
      ],
    });
  });

  it('reads where a page ends over fields that it does not need, however long they are', async () => {
    // A data page of 300 compressed bytes and 7 values: an integer of two bytes, statistics with a text of 700 bytes, a
    // list and a truth value between.
    const statistics = [0x4c, 0x18, 0xbc, 0x05, ...Array<number>(700).fill(0x61), 0];
    const header = [
      ...[0x15, 0x00, 0x15, 0xd0, 0x0f, 0x15, 0xd8, 0x04],
      ...[0x2c, 0x15, 0x0e, ...statistics, 0x19, 0x22, 0x01, 0x02, 0x11, 0x00],
      0x00,
    ];
    const page = [...header, ...Array<number>(300).fill(0)];
    assert.deepEqual(await pagesOf([page, page], false, 14n), {
      of: [
        { offset: 0n, first_row_index: 0n, compressed_page_size: page.length },
        { offset: BigInt(page.length), first_row_index: 7n, compressed_page_size: page.length },
      ],
    });
    for (let end = 1; end < header.length; end++) {
      const cut = pagesOf([page, header.slice(0, end)], false, 14n);
      await assert.rejects(cut, /thrift|outside the bounds/i, `${end} bytes`);
    }
  });
});

/** A page that begins with these runs of levels, behind their length, which is not looked at. */
function pageOf(...runs: readonly number[]): Uint8Array {
  return Uint8Array.of(0, 0, 0, 0, ...runs);
}

describe('begunRows', () => {
  it('counts the values of level 0 in runs of like levels and in packed ones', () => {
    // Five of level 0, three of level 1, then eight packed: 0 1 1 0 0 0 1 0 from the lowest bit on.
    const page = pageOf(5 << 1, 0, 3 << 1, 1, (1 << 1) | 1, 0b0100_0110);
    assert.deepEqual(begunRows(page, 16, 1), { rows: 10, isContinued: false });
    // The last eight may have values that are not there.
    assert.deepEqual(begunRows(page, 10, 1), { rows: 6, isContinued: false });
  });

  it('reads levels of several bits across bytes', () => {
    // 0 1 2 3 4 0 4 1 by three bits each.
    const packed = [0, 1, 2, 3, 4, 0, 4, 1].reduce((bits, level, i) => bits + level * 8 ** i, 0);
    const bytes = [packed & 255, (packed >> 8) & 255, (packed >> 16) & 255];
    assert.deepEqual(begunRows(pageOf(3, ...bytes), 8, 4), { rows: 2, isContinued: false });
  });

  it('tells a page that begins inside a row', () => {
    assert.deepEqual(begunRows(pageOf(2 << 1, 1, 1 << 1, 0), 3, 1), { rows: 1, isContinued: true });
  });

  it('throws at a page that ends too soon, or has runs of nothing', () => {
    for (const page of [
      pageOf(),
      pageOf(5 << 1, 0),
      pageOf(0, 0),
      pageOf(1),
      pageOf(255, 255, 255, 255, 255),
    ]) {
      assert.throws(() => begunRows(page, 16, 1), /outside the bounds|out of range/);
    }
  });
});
