import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadDataset, openDataset } from '../../../src/data/dataset.ts';
import { DEFAULT_KEYS, picturesOf } from '../../../src/data/row.ts';
import { heldRows, joinedRows, selectedRows, type RowStore } from '../../../src/data/row-store.ts';
import { goldenPath } from '../../support/golden.ts';
import { jsonLines } from '../../support/json-lines.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const row = (i: number, images: readonly unknown[] = []): object => ({
  prompt: `${'<image>'.repeat(images.length)}Was ist ä${i}?`,
  answer: `A${i}`,
  images,
});
const invalidRows = 'skip';

describe('openDataset', () => {
  let directory: TemporaryDirectory;
  beforeEach(() => (directory = new TemporaryDirectory()));
  afterEach(() => directory[Symbol.dispose]());

  /** Opens a source, and checks that its rows are those that `loadDataset` holds, in any order. */
  async function opened(
    source: string,
    keys = DEFAULT_KEYS,
    options: { readonly heldBytes?: number } = {},
  ): Promise<RowStore> {
    const held = await loadDataset({ source, invalidRows, ...keys });
    const rows = (await openDataset({ source, invalidRows, ...keys, ...options })).rows;
    assert.equal(rows.length, held.rows.length);
    const order = held.rows.map((_, i) => (i * 7 + 3) % rows.length);
    for (const i of new Set([...order, ...held.rows.keys()])) {
      assert.deepEqual(await rows.at(i), held.rows[i]);
      assert.equal(rows.pictureCount(i), picturesOf(held.rows[i]!).length);
    }
    return rows;
  }

  it('reads rows of JSON Lines where they stand: blank and broken lines, all lengths, no last line feed', async () => {
    const text = jsonLines(
      row(1),
      '',
      '{"prompt": 3}',
      row(2, ['a.png', 'b.png']),
      '  ',
      'no json',
      row(3),
    );
    directory.write('a.jsonl', `\uFEFF${text}`);
    directory.write(
      'b.jsonl',
      `${jsonLines(...Array.from({ length: 40 }, (_, i) => row(i, [{ bytes: 'AQID'.repeat(3 ** (i % 12)) }])))}${JSON.stringify(row(99))}`,
    );
    const rows = await opened(directory.path);
    assert.equal(rows.length, 3 + 41);
  });

  it('holds rows of files that it cannot go back into', async () => {
    const csv = directory.write('a.csv', 'prompt,answer\nWhat?,A\n"Which\none?",B\n');
    const json = directory.write('b.json', JSON.stringify([row(1), row(2, ['a.png'])]));
    for (const source of [csv, json]) assert.equal((await opened(source)).length, 2);
    const keys = { ...DEFAULT_KEYS, promptKey: 'problem' };
    for (const name of ['media.parquet', 'media.arrow']) {
      assert.equal((await opened(goldenPath(`tables/${name}`), keys)).length, 4);
    }
  });

  it('reads rows of large Parquet files again: alone and together, of several files', async () => {
    const keys = { ...DEFAULT_KEYS, promptKey: 'problem' };
    const source = goldenPath('tables/snappy.parquet');
    const rows = await opened(source, keys, { heldBytes: 0 });
    const [first, again] = await Promise.all([rows.at(0), rows.at(0), rows.at(2)]);
    assert.equal(first, again);
    directory.write('a.parquet', readFileSync(source));
    directory.write('b.parquet', readFileSync(goldenPath('tables/zstd.parquet')));
    assert.equal((await opened(directory.path, keys, { heldBytes: 0 })).length, 6);
  });

  it('gives the same row while somebody holds it', async () => {
    const source = directory.write('a.jsonl', jsonLines(row(1), row(2)));
    const rows = (await openDataset({ source, invalidRows, ...DEFAULT_KEYS })).rows;
    const first = await rows.at(1);
    assert.equal(await rows.at(1), first);
  });

  it('names a file that has changed since it was opened', async () => {
    const source = directory.write('a.jsonl', jsonLines(row(1), row(2)));
    const rows = (await openDataset({ source, invalidRows, ...DEFAULT_KEYS })).rows;
    writeFileSync(source, jsonLines(row(1), row(2), row(3)));
    await assert.rejects(rows.at(0), {
      code: 'DATA_INVALID',
      message: `${source}: it has changed since its rows were counted`,
    });
  });

  it('fails and skips as loadDataset does', async () => {
    const source = directory.write('a.jsonl', jsonLines(row(1), '{"prompt": 3}'));
    await assert.rejects(openDataset({ source, invalidRows: 'fail', ...DEFAULT_KEYS }), {
      message: `${source}:2: prompt: expected string, got 3`,
    });
    const few = { source, invalidRows, maxInvalidFraction: 0.4, ...DEFAULT_KEYS } as const;
    await assert.rejects(openDataset(few), /1 of 2 rows are invalid/);
    const missing = join(directory.path, 'b.jsonl');
    await assert.rejects(openDataset({ ...few, source: missing }), { code: 'DATA_INVALID' });
  });
});

describe('joinedRows and selectedRows', () => {
  it('count and read the rows of their stores', async () => {
    using directory = new TemporaryDirectory();
    const source = directory.write('a.jsonl', jsonLines(row(1), row(2, ['a.png']), row(3)));
    const { rows } = await loadDataset({ source, invalidRows, ...DEFAULT_KEYS });
    const joined = joinedRows(selectedRows(heldRows(rows), Uint32Array.of(2, 1)), heldRows(rows));
    const all = await Promise.all(Array.from({ length: joined.length }, (_, i) => joined.at(i)));
    assert.deepEqual(
      all.map(({ answer }) => answer),
      ['A3', 'A2', 'A1', 'A2', 'A3'],
    );
    assert.deepEqual(
      all.map((_, i) => joined.pictureCount(i)),
      [0, 1, 0, 1, 0],
    );
  });
});
