import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { loadDataset, type Dataset } from '../../../src/data/dataset.ts';
import { goldenJson, goldenPath } from '../../support/golden.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

interface GoldenRow {
  readonly problem: string;
  readonly answer: string;
  readonly images: readonly { readonly bytes: string | null; readonly path: string | null }[];
}

const golden = goldenJson('tables/rows.json') as GoldenRow[];
const keys = {
  promptKey: 'problem',
  answerKey: 'answer',
  imageKey: 'images',
  videoKey: 'videos',
};

function load(source: string, invalidRows: 'fail' | 'skip' = 'fail'): Promise<Dataset> {
  return loadDataset({ source, invalidRows, ...keys });
}

describe('the forms of data files', () => {
  const tables = ['snappy', 'zstd', 'gzip', 'brotli'].map((name) => `${name}.parquet`);
  for (const name of [...tables, 'stream.arrow', 'file.arrow', 'zstd.arrow', 'lz4.arrow']) {
    it(`has the rows of ${name} as pyarrow wrote them`, async () => {
      const { rows } = await load(goldenPath(`tables/${name}`));
      assert.deepEqual(
        rows.map(({ line, prompt, answer, images }) => ({ line, prompt, answer, images })),
        golden.map(({ problem, answer, images }, i) => ({
          line: i + 1,
          prompt: problem,
          answer,
          images: images.map(({ bytes, path }) =>
            bytes === null ? path : { bytes: new Uint8Array(Buffer.from(bytes, 'base64')) },
          ),
        })),
      );
      const other = rows.map(({ fields: { level, topic, score } }) => [level, topic, score]);
      assert.deepEqual(other, [
        [1, 'colour', 0.5],
        [2, 'none', null],
        ['1152921504606846976', 'colour', 1.5],
      ]);
    });
  }

  for (const name of ['media.parquet', 'media.arrow']) {
    it(`has the bytes, the lists of one length and the nulls of ${name}`, async () => {
      const [red, blue] = golden.flatMap(({ images }) => images.map(({ bytes }) => bytes));
      const bytesOf = (base64: string | null | undefined): { bytes: Uint8Array } => ({
        bytes: new Uint8Array(Buffer.from(base64!, 'base64')),
      });
      const { rows } = await load(goldenPath(`tables/${name}`));
      assert.deepEqual(
        rows.map(({ images, videos }) => [images, videos]),
        [
          [[bytesOf(red)], null],
          [null, [['1.png', '2.png']]],
          [null, null],
          [[bytesOf(blue)], null],
        ],
      );
      const scans = { ...keys, imageKey: 'scans', videoKey: 'none' };
      const source = goldenPath(`tables/${name}`);
      const other = await loadDataset({ source, invalidRows: 'fail', ...scans });
      assert.deepEqual(
        other.rows.map(({ images }) => images),
        [['x.png'], null, null, ['y.png']],
      );
    });
  }

  it('reads what save_to_disk wrote: the shards that belong to it, and its splits', async () => {
    const answers = async (source: string): Promise<unknown[]> =>
      (await load(source)).rows.map(({ answer }) => answer);
    assert.deepEqual(await answers(goldenPath('tables/saved')), ['1', '2', '3']);
    assert.deepEqual(await answers(goldenPath('tables/saved-splits')), ['1']);
    assert.deepEqual(await answers(`${goldenPath('tables/saved-splits')}@test`), ['2', '3']);
    assert.deepEqual(await answers(goldenPath('tables/saved-splits/test')), ['2', '3']);
    await assert.rejects(load(`${goldenPath('tables/saved-splits')}@dev`), {
      code: 'DATA_INVALID',
      message: /saved-splits@dev: the saved data set has no split "dev", but "train", "test"/,
    });
  });

  it('gives times of Parquet as ISO text', async () => {
    const { rows } = await load(goldenPath('tables/snappy.parquet'));
    assert.equal(rows[0]?.fields['when'], '2024-05-17T08:30:00.000Z');
  });

  it('reads a CSV file, whose cells hold a list of images, one path or none', async () => {
    const { rows } = await load(goldenPath('tables/quoted.csv'));
    assert.deepEqual(
      rows.map(({ line, prompt, answer, images }) => [line, prompt, answer, images]),
      [
        [2, golden[0]!.problem, 'red', ['one.png']],
        [3, golden[1]!.problem, '42', []],
        [4, golden[2]!.problem, 'no', ['two.png', 'three.png']],
      ],
    );
  });

  it('names the CSV line whose cells do not fit the columns, or skips it', async () => {
    using directory = new TemporaryDirectory();
    const path = directory.write('rows.csv', '\uFEFFproblem,answer\n"a\nb",1\nx,2,3\n\ny,4\n');
    await assert.rejects(load(path), {
      code: 'DATA_INVALID',
      message: `${path}:4: 3 cells for 2 columns`,
    });
    const { rows, skipped } = await load(path, 'skip');
    assert.deepEqual(
      rows.map(({ line, prompt }) => [line, prompt]),
      [
        [3, 'a\nb'],
        [6, 'y'],
      ],
    );
    assert.equal(skipped.length, 1);
    const wrong = directory.write('list.csv', 'problem,answer,images\np,a,"[1, 2"\n');
    await assert.rejects(load(wrong), {
      message: `${wrong}:2: images: expected a list of images, got "[1, 2"`,
    });
  });

  it('names the row of a Parquet file that has a null list', async () => {
    const wrong = { ...keys, imageKey: 'score' };
    const path = goldenPath('tables/snappy.parquet');
    await assert.rejects(loadDataset({ source: path, invalidRows: 'fail', ...wrong }), {
      message: `${path}:1: score: expected a list of images, got 0.5`,
    });
    const { skipped } = await loadDataset({
      source: path,
      invalidRows: 'skip',
      ...keys,
      videoKey: 'none',
      answerKey: 'when',
    });
    assert.match(skipped[0]!.message, /snappy\.parquet:2: when: expected text, .* got null/);
  });

  it('says which file is cut short or of another form', async () => {
    using directory = new TemporaryDirectory();
    for (const name of ['snappy.parquet', 'stream.arrow', 'file.arrow']) {
      const bytes = readFileSync(goldenPath(`tables/${name}`));
      const path = directory.write(name, bytes.subarray(0, bytes.length - 900));
      await assert.rejects(load(path), {
        code: 'DATA_INVALID',
        message: new RegExp(`${name}: cannot be read`),
      });
      const text = directory.write(`text-${name}`, 'no table at all, but text');
      await assert.rejects(load(text), {
        code: 'DATA_INVALID',
        message: new RegExp(`text-${name}: `),
      });
    }
    const open = directory.write('open.csv', 'problem,answer\n"never closed,1\n');
    await assert.rejects(load(open), { code: 'DATA_INVALID', message: /open\.csv: not CSV/ });
  });

  it('takes data URLs, and says what is wrong with one', async () => {
    using directory = new TemporaryDirectory();
    const row = (image: string): string =>
      JSON.stringify({ problem: '<image>', answer: 'a', images: [image] });
    const good = directory.write('good.jsonl', row('data:image/png;base64,AQID'));
    assert.deepEqual((await load(good)).rows[0]?.images, [{ bytes: Buffer.of(1, 2, 3) }]);
    for (const url of ['data:image/png;base64,?', 'data:image/png,abc']) {
      const bad = directory.write('bad.jsonl', row(url));
      await assert.rejects(load(bad), { message: /bad\.jsonl:1: images\[0\]: expected a path/ });
    }
  });
});
