import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { columnsOf, DEFAULT_KEYS } from '../../../src/data/row.ts';
import { loadDataset, type Dataset } from '../../../src/data/dataset.ts';
import { jsonLines } from '../../support/json-lines.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const good = { prompt: '<image>What?', answer: 'A', images: ['a.png'], weight: 3 };

function load(source: string, invalidRows: 'fail' | 'skip' = 'fail'): Promise<Dataset> {
  return loadDataset({ source, invalidRows, ...DEFAULT_KEYS });
}

describe('columnsOf', () => {
  it('has all columns of a row, less what files contain', () => {
    const fields = {
      ...good,
      picture: { bytes: Uint8Array.of(1), path: 'a.png' },
      coded: { bytes: 'AQ==' },
      urls: ['data:image/png;base64,AQ==', 'b.png'],
      raw: Uint8Array.of(2),
      when: null,
    };
    assert.deepEqual(columnsOf({ fields }), {
      ...good,
      picture: { bytes: null, path: 'a.png' },
      coded: { bytes: null },
      urls: [null, 'b.png'],
      raw: null,
      when: null,
    });
  });
});

describe('loadDataset', () => {
  it('reads JSONL and JSON arrays alike, extra columns included', async () => {
    using directory = new TemporaryDirectory();
    const lines = directory.write(
      'rows.jsonl',
      `\uFEFF${jsonLines(good, '', { ...good, answer: 'B' })}`,
    );
    const array = directory.write(
      'rows.json',
      JSON.stringify([good, { ...good, answer: 'B' }], null, 1),
    );
    const fromLines = await load(lines);
    const fromArray = await load(array);
    assert.deepEqual(
      fromLines.rows.map(({ line, answer }) => [line, answer]),
      [
        [1, 'A'],
        [3, 'B'],
      ],
    );
    assert.deepEqual(
      fromArray.rows.map(({ line, answer }) => [line, answer]),
      [
        [1, 'A'],
        [2, 'B'],
      ],
    );
    assert.deepEqual(fromLines.rows[0]?.fields, good);
    assert.deepEqual(fromLines.rows[0].images, ['a.png']);
  });

  it('keeps line separators that JSON allows inside a text', async () => {
    using directory = new TemporaryDirectory();
    const path = directory.write('rows.jsonl', jsonLines({ prompt: 'a\u2028b', answer: '\u2029' }));
    assert.equal((await load(path)).rows[0]?.prompt, 'a\u2028b');
  });

  it('reads lines longer than a chunk of the file', async () => {
    using directory = new TemporaryDirectory();
    const prompt = 'é'.repeat(200_000);
    const path = directory.write(
      'rows.jsonl',
      jsonLines({ prompt, answer: '1' }, { prompt, answer: '2' }),
    );
    const { rows } = await load(path);
    assert.deepEqual(
      rows.map((row) => [row.prompt === prompt, row.answer]),
      [
        [true, '1'],
        [true, '2'],
      ],
    );
  });

  it('reads every data file of a directory in name order', async () => {
    using directory = new TemporaryDirectory();
    directory.write('b.jsonl', jsonLines({ prompt: 'p', answer: 'second' }));
    directory.write('a.json', JSON.stringify([{ prompt: 'p', answer: 'first' }]));
    directory.write('notes.txt', 'not data');
    mkdirSync(join(directory.path, 'images'));
    const { rows } = await load(`${directory.path}@train`);
    assert.deepEqual(
      rows.map(({ answer }) => answer),
      ['first', 'second'],
    );
  });

  it('refuses a directory of several formats', async () => {
    using directory = new TemporaryDirectory();
    directory.write('a.jsonl', jsonLines(good));
    directory.write('b.csv', 'prompt,answer\n1,2\n');
    await assert.rejects(load(directory.path), {
      code: 'DATA_INVALID',
      message: /files of several formats \(a\.jsonl and b\.csv\); name one/,
    });
  });

  it('keeps an answer as it is, text or not', async () => {
    using directory = new TemporaryDirectory();
    const answers = ['B', 3, -0.5, true, [12, 40, 50.5], { label: 'B', box: [1, 2] }, [], ''];
    const path = directory.write(
      'rows.jsonl',
      jsonLines(...answers.map((answer) => ({ ...good, answer }))),
    );
    assert.deepEqual(
      (await load(path)).rows.map(({ answer }) => answer),
      answers,
    );
  });

  it('takes videos as paths, bytes and lists of frames', async () => {
    using directory = new TemporaryDirectory();
    const videos = ['v.mp4', { bytes: 'AQID' }, ['1.png', { path: '2.png' }]];
    const row = { prompt: '<video>', answer: 'a', videos };
    const path = directory.write('rows.jsonl', jsonLines(row, { ...row, images: [], videos: [] }));
    const { rows } = await load(path);
    const read = ['v.mp4', { bytes: Buffer.of(1, 2, 3) }, ['1.png', '2.png']];
    assert.deepEqual(
      rows.map(({ images, videos }) => [images, videos]),
      [
        [null, read],
        [[], null],
      ],
    );
  });

  it('takes other column names, images as objects, and rows without an image column', async () => {
    using directory = new TemporaryDirectory();
    const images = [{ path: 'x.png' }, { bytes: 'AQID' }];
    const path = directory.write(
      'rows.jsonl',
      jsonLines({ problem: 'p', solution: 's', scans: images }, { problem: 'q', solution: 't' }),
    );
    const keys = { promptKey: 'problem', answerKey: 'solution', imageKey: 'scans', videoKey: 'v' };
    const { rows } = await loadDataset({ source: path, invalidRows: 'fail', ...keys });
    assert.deepEqual(rows[0]?.images, ['x.png', { bytes: Buffer.of(1, 2, 3) }]);
    assert.equal(rows[1]?.images, null);
  });

  const invalid: readonly (readonly [what: string, row: unknown, message: string])[] = [
    ['a line that is not JSON', '{"prompt": ', '2: not JSON: Unexpected end of JSON input'],
    ['a text that does not end', '{"prompt": "a', '2: not JSON: Unterminated string at column 14'],
    ['one behind spaces', '  {"prompt": "a', '2: not JSON: Unterminated string at column 16'],
    ['a line that is no object', [1], '2: expected an object, got [1]'],
    ['a missing prompt', { answer: 'A' }, '2: prompt: missing; the row has answer'],
    ['a missing answer', { prompt: 'p' }, '2: answer: missing; the row has prompt'],
    ['a prompt that is a number', { ...good, prompt: 3 }, '2: prompt: expected string, got 3'],
    [
      'an answer that is null',
      { ...good, answer: null },
      '2: answer: expected text, a number, a list or a mapping, got null',
    ],
    [
      'a path instead of a list',
      { ...good, images: 'a.png' },
      '2: images: expected a list of images, got "a.png"',
    ],
    [
      'a number among the images',
      { ...good, images: ['a', 7] },
      '2: images[1]: expected a path, {"path": …} or {"bytes": base64}, got 7',
    ],
    [
      'bytes that are not base64',
      { ...good, images: [{ bytes: '?' }] },
      '2: images[0]: expected a path, {"path": …} or {"bytes": base64}, got a mapping',
    ],
    [
      'videos beside images',
      { ...good, videos: ['v.mp4'] },
      '2: videos: a row with the column images is one with images; videos are not read from it',
    ],
    [
      'a video that is no video',
      { prompt: 'p', answer: 'A', videos: [['a.png'], 3] },
      '2: videos[1]: expected a path, {"path": …}, {"bytes": base64} or a list of frames, got 3',
    ],
  ];
  for (const [what, row, message] of invalid) {
    it(`names file, line and field of ${what}, or skips and counts it`, async () => {
      using directory = new TemporaryDirectory();
      const path = directory.write('rows.jsonl', jsonLines(good, row, good));
      await assert.rejects(load(path), (error: Error & { code?: string }) => {
        assert.equal(error.code, 'DATA_INVALID');
        assert.equal(
          error.message.slice(0, path.length + 1 + message.length),
          `${path}:${message}`,
        );
        return true;
      });
      const { rows, skipped } = await load(path, 'skip');
      assert.deepEqual([rows.length, skipped.length], [2, 1]);
      assert.ok(skipped[0]?.message.startsWith(`${path}:2: `));
    });
  }

  it('takes a null for a column that a row does not have', async () => {
    using directory = new TemporaryDirectory();
    const path = directory.write(
      'rows.jsonl',
      jsonLines(
        { ...good, videos: null },
        { prompt: '<video>', answer: 'B', images: null, videos: ['v.mp4'] },
        { prompt: 'p', answer: 'C', images: null, videos: null },
      ),
    );
    assert.deepEqual(
      (await load(path)).rows.map(({ images, videos }) => [images, videos]),
      [
        [['a.png'], null],
        [null, ['v.mp4']],
        [null, null],
      ],
    );
  });

  it('reads what is no number as Python writes it: NaN as null, infinities as they are', async () => {
    using directory = new TemporaryDirectory();
    // json.dumps({'prompt': 'NaN "Infinity', 'answer': 'A', 'q': [nan, inf, -inf]})
    const row = '{"prompt": "NaN \\"Infinity", "answer": "A", "q": [NaN, Infinity, -Infinity]}';
    for (const [name, text] of [
      ['rows.jsonl', `${row}\n${row}\n`],
      ['rows.json', `[${row}, ${row}]`],
    ] as const) {
      const { rows } = await load(directory.write(name, text));
      const fields = { prompt: 'NaN "Infinity', answer: 'A', q: [null, Infinity, -Infinity] };
      assert.deepEqual(
        rows.map((each) => each.fields),
        [fields, fields],
      );
    }
  });

  it('takes one object whose data are rows, and says what it expected of another', async () => {
    using directory = new TemporaryDirectory();
    for (const indent of [0, 2]) {
      const wrapped = JSON.stringify({ version: 1, data: [good, good] }, null, indent);
      const { rows } = await load(directory.write('wrapped.json', wrapped));
      assert.deepEqual(
        rows.map(({ line }) => line),
        [1, 2],
      );
    }
    const other = directory.write('other.json', JSON.stringify({ rows: [good], n: 1 }, null, 2));
    await assert.rejects(load(other), {
      message: `${other}: one JSON object (rows, n), expected an array of rows, {"data": [rows]}, or a row a line`,
    });
    const column = directory.write('column.jsonl', jsonLines({ ...good, data: [{}] }, good));
    assert.equal((await load(column)).rows.length, 2);
    const broken = directory.write('broken.json', '{\n "prompt": \n');
    await assert.rejects(load(broken), /broken\.json:1: not JSON/);
  });

  it('takes no hidden file for data, and no JSON file about data', async () => {
    using directory = new TemporaryDirectory();
    directory.write('rows.jsonl', jsonLines(good));
    directory.write('._rows.jsonl', 'Mac OS X');
    directory.write('.hidden.csv', 'a,b');
    directory.write('dataset_infos.json', '{}');
    assert.equal((await load(directory.path)).rows.length, 1);
    assert.equal((await load(join(directory.path, '*'))).rows.length, 1);
  });

  it('reads several sources and patterns in order, and names files of one name apart', async () => {
    using directory = new TemporaryDirectory();
    for (const name of ['one', 'two']) {
      mkdirSync(join(directory.path, name));
      directory.write(`${name}/rows.jsonl`, jsonLines({ prompt: 'p', answer: name }));
    }
    const csv = directory.write('rows.csv', 'prompt,answer\np,three\n');
    const sources = [join(directory.path, 'two'), csv, join(directory.path, 'o*/*.jsonl')];
    const { rows } = await loadDataset({ source: sources, invalidRows: 'fail', ...DEFAULT_KEYS });
    assert.deepEqual(
      rows.map(({ name, answer }) => [name, answer]),
      [
        ['rows.jsonl', 'two'],
        ['rows.csv', 'three'],
        ['rows.jsonl#2', 'one'],
      ],
    );
    await assert.rejects(
      load(join(directory.path, 'x*.json')),
      /x\*\.json: no \.jsonl, .* matches/,
    );
  });

  it('takes file URLs, and says that nothing is fetched', async () => {
    using directory = new TemporaryDirectory();
    const images = ['file:///a/b.png', { path: 'file:///c.png' }];
    const path = directory.write('rows.jsonl', jsonLines({ ...good, images }));
    const { rows } = await load(pathToFileURL(path).href);
    assert.deepEqual(rows[0]?.images, ['/a/b.png', '/c.png']);
    for (const url of ['https://host/a.png', 's3://bucket/a.png']) {
      const bad = directory.write(
        'bad.jsonl',
        jsonLines({ ...good, images: ['a', { path: url }] }),
      );
      await assert.rejects(load(bad), {
        message: `${bad}:1: images[1]: expected a file of this machine, got "${url}": nothing is fetched; download it, and give its path`,
      });
    }
  });

  it('reads regular files only, and names what is left to fetch', async () => {
    using directory = new TemporaryDirectory();
    const pipe = join(directory.path, 'pipe.jsonl');
    execFileSync('mkfifo', [pipe]);
    await assert.rejects(load(pipe), { message: `${pipe}: cannot be read: a pipe, not a file` });
    const pointer = 'version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n';
    for (const name of ['rows.jsonl', 'rows.csv', 'rows.parquet', 'rows.arrow']) {
      const path = directory.write(name, pointer);
      await assert.rejects(load(path), /rows\.\w+: cannot be read: a Git LFS pointer/);
    }
  });

  it('names a line that is not UTF-8', async () => {
    using directory = new TemporaryDirectory();
    const path = directory.write('rows.jsonl', Uint8Array.of(0x22, 0xff, 0x22, 0x0a));
    await assert.rejects(load(path), { code: 'DATA_INVALID', message: /rows\.jsonl:1: not JSON/ });
  });

  it('refuses sources it cannot read', async () => {
    using directory = new TemporaryDirectory();
    const path = directory.write('rows.jsonl', jsonLines(good));
    const refused = (source: string, message: RegExp): Promise<void> =>
      assert.rejects(load(source), { code: 'DATA_INVALID', message });
    await refused(`${path}x`, /rows\.jsonlx: no such file or directory/);
    await refused(`${path}@test`, /local files have only the split "train", not "test"/);
    await refused(`${path}@a@b`, /more than one @/);
    await refused(directory.write('rows.txt', 'a,b'), /expected a \.jsonl, .* file, got "\.txt"/);
    await refused(directory.write('rows.csv', 'a,b'), /rows\.csv: no rows/);
    await refused(directory.write('none.jsonl', '\n'), /none\.jsonl: no rows/);
    await refused(directory.write('half.json', '[{}'), /half\.json: not a JSON array/);
    mkdirSync(join(directory.path, 'empty'));
    await refused(join(directory.path, 'empty'), /the directory has no \.jsonl, /);
    const bad = directory.write('bad.jsonl', jsonLines({}, {}));
    await assert.rejects(
      load(bad, 'skip'),
      /all 2 rows are invalid, the first one: .*bad\.jsonl:1/,
    );
  });
});
