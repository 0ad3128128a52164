import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import fc from 'fast-check';
import { ColumnarThread } from '../../../src/data/columnar-thread.ts';
import { csvRows } from '../../../src/data/csv-rows.ts';
import { jsonRows } from '../../../src/data/json-rows.ts';
import type { RawRow } from '../../../src/data/raw-row.ts';
import type { DataFile, DataFormat } from '../../../src/data/source.ts';
import { asCxmindError } from '../../../src/errors.ts';
import { readSafetensors } from '../../../src/model/checkpoint/safetensors.ts';
import { goldenPath } from '../../support/golden.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

/** Bytes of an Arrow file, changed so that its reader loops for ever. */
const endless = [
  [83, 47],
  [322, 127],
  [1094, 128],
] as const;

/** Bytes of Arrow files, changed so that a batch claims more rows than its columns hold. */
const claims = [
  { name: 'stream.arrow', changes: [[891, 127]], rows: 2_130_706_434 },
  { name: 'lz4.arrow', changes: [[972, 198]], rows: 850_403_524_611 },
  { name: 'lz4.arrow', changes: [[970, 233]], rows: 15_269_891 },
] as const;

/** Bytes with some of them changed, and perhaps the end cut off. */
function damaged(bytes: Uint8Array): fc.Arbitrary<Uint8Array> {
  const change = fc.record({
    at: fc.nat(bytes.length - 1),
    value: fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255)),
  });
  const changes = fc.array(change, { minLength: 1, maxLength: 4 });
  const end = fc.oneof(fc.constant(bytes.length), fc.nat(bytes.length));
  return fc.tuple(changes, end).map(([list, length]) => {
    const copy = Uint8Array.from(bytes);
    for (const { at, value } of list) copy[at] = value;
    return copy.subarray(0, length);
  });
}

describe('a damaged file', () => {
  let directory: TemporaryDirectory;
  let thread: ColumnarThread;
  before(() => {
    directory = new TemporaryDirectory();
    thread = new ColumnarThread(500);
  });
  after(async () => {
    await thread[Symbol.asyncDispose]();
    directory[Symbol.dispose]();
  });

  const rowsOf = (file: DataFile): AsyncGenerator<RawRow> =>
    file.format === 'json'
      ? jsonRows(file)
      : file.format === 'csv'
        ? csvRows(file)
        : thread.rows(file);
  const assertRowsOrInvalid = async (file: DataFile): Promise<void> => {
    try {
      await Array.fromAsync(rowsOf(file));
    } catch (error) {
      const { code, message } = asCxmindError(error);
      assert.equal(code, 'DATA_INVALID', message);
      assert.ok(message.startsWith(`${file.path}: `), message);
      assert.doesNotMatch(message, /\n|\[object/);
    }
  };

  it('of the kind that a reader loops over is given up', async () => {
    const bytes = readFileSync(goldenPath('tables/media.arrow'));
    for (const [at, value] of endless) bytes[at] = value;
    const path = directory.write('endless.arrow', bytes);
    await assert.rejects(Array.fromAsync(rowsOf({ path, name: '', format: 'arrow' })), {
      code: 'DATA_INVALID',
      message: `${path}: cannot be read: no rows came for 1 s, it is corrupt`,
    });
    const good = { path: goldenPath('tables/file.arrow'), name: '', format: 'arrow' } as const;
    assert.equal((await Array.fromAsync(rowsOf(good))).length, 3, 'the next one is read');
  });

  for (const { name, changes, rows } of claims) {
    it(`of ${rows} rows that it does not hold is refused: ${name}`, async () => {
      const bytes = readFileSync(goldenPath(`tables/${name}`));
      for (const [at, value] of changes) bytes[at] = value;
      const path = directory.write('claims.arrow', bytes);
      await assert.rejects(Array.fromAsync(rowsOf({ path, name: '', format: 'arrow' })), {
        code: 'DATA_INVALID',
        message: `${path}: cannot be read as Arrow: a batch has fewer than its ${rows} rows`,
      });
    });
  }

  const tables: readonly (readonly [string, DataFormat, number])[] = [
    ['media.parquet', 'parquet', 25],
    ['zstd.parquet', 'parquet', 15],
    ['stream.arrow', 'arrow', 15],
    ['lz4.arrow', 'arrow', 10],
    ['rows.json', 'json', 100],
    ['quoted.csv', 'csv', 100],
  ];
  for (const [name, format, numRuns] of tables) {
    it(`has rows, or is DATA_INVALID: ${name}`, async () => {
      const bytes = readFileSync(goldenPath(`tables/${name}`));
      await fc.assert(
        fc.asyncProperty(damaged(bytes), async (content) => {
          const path = directory.write(basename(name), content);
          await assertRowsOrInvalid({ path, name, format });
        }),
        { numRuns },
      );
    });
  }

  it('has tensors, or is CHECKPOINT_INVALID', async () => {
    const path = goldenPath('micro-text/model.safetensors');
    const whole = readFileSync(path);
    const header = 8 + Number(whole.readBigUInt64LE());
    await fc.assert(
      fc.asyncProperty(damaged(whole.subarray(0, header)), async (content) => {
        const rest = whole.subarray(content.length);
        const file = directory.write('x.safetensors', Buffer.concat([content, rest]));
        try {
          await readSafetensors(file);
        } catch (error) {
          const { code, message } = asCxmindError(error);
          assert.equal(code, 'CHECKPOINT_INVALID', message);
          assert.ok(message.startsWith(file), message);
        }
      }),
      { numRuns: 100 },
    );
  });
});
