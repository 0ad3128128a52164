import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DEFAULT_KEYS } from '../../../src/data/row.ts';
import { loadDataset } from '../../../src/data/dataset.ts';
import { questionLine, questionsOf } from '../../../src/evaluation/questions.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const record = (user: string, images?: unknown): string =>
  JSON.stringify({
    id: 'r1',
    messages: [
      { role: 'system', content: 's' },
      { role: 'user', content: user },
      { role: 'assistant', content: ' B. Edema\n' },
    ],
    ...(images !== undefined && { images }),
  });

describe('records of the released scripts', () => {
  let folder: TemporaryDirectory;
  before(() => {
    folder = new TemporaryDirectory();
    folder.write(
      'a.jsonl',
      [
        record('<image> Which? \n', ['x.png', 'y.png']),
        record('Plain', null),
        record('Missing'),
      ].join('\n'),
    );
    folder.write(
      'b.jsonl',
      '{"prompt": "<image>Q", "answer": "A", "images": ["z.png"]}\n'.repeat(3),
    );
    folder.write('x.png', '');
  });
  after(() => folder[Symbol.dispose]());

  const rowsOf = async () => {
    const source = folder.path;
    return (await loadDataset({ ...DEFAULT_KEYS, source, invalidRows: 'fail' })).rows;
  };

  it('become rows: markers before the text, the answer, the record itself kept', async () => {
    const [first, second, third] = await rowsOf();
    assert.equal(first!.prompt, '<image><image>Which?');
    assert.equal(first!.answer, 'B. Edema');
    assert.deepEqual(first!.history, [{ role: 'system', content: 's' }]);
    assert.deepEqual(first!.images, ['x.png', 'y.png']);
    assert.equal(first!.fields['id'], 'r1');
    assert.equal(second!.images, null);
    assert.equal(third!.images, null);
  });

  it('get the instruction unless their images is null, and rows are asked as they are', async () => {
    const options = { task: 'closed', limit: null, imageDir: null } as const;
    const questions = await questionsOf(await rowsOf(), options);
    assert.match(questions[0]!.prompt, /^<image><image>Which\?\nGo through the options/);
    assert.equal(questions[1]!.prompt, 'Plain');
    assert.match(questions[2]!.prompt, /^Missing\nGo through/);
    assert.equal(questions[3]!.prompt, '<image>Q');
    assert.deepEqual(questions[0]!.images[0], join(folder.path, 'x.png'));
  });

  it('are limited file by file', async () => {
    const options = { task: 'open', limit: 2, imageDir: '/images' } as const;
    const questions = await questionsOf(await rowsOf(), options);
    assert.deepEqual(
      questions.map(({ file }) => file),
      ['a.jsonl', 'a.jsonl', 'b.jsonl', 'b.jsonl'],
    );
    assert.deepEqual(JSON.parse(questionLine(questions[3]!)), {
      prompt: '<image>Q',
      answer: 'A',
      images: ['/images/z.png'],
    });
    assert.deepEqual(JSON.parse(questionLine(questions[1]!)), {
      messages: [
        { role: 'system', content: 's' },
        { role: 'user', content: 'Plain' },
      ],
      answer: 'B. Edema',
    });
  });

  it('hand answers that are not text on to rewards as they are', async () => {
    using other = new TemporaryDirectory();
    const source = other.write('c.jsonl', '{"prompt": "Q", "answer": [1, {"b": 2.5}]}\n');
    const { rows } = await loadDataset({ ...DEFAULT_KEYS, source, invalidRows: 'fail' });
    const options = { task: 'closed', limit: null, imageDir: null } as const;
    const [question] = await questionsOf(rows, options);
    assert.equal(question!.gold, '[1,{"b":2.5}]');
    assert.deepEqual(JSON.parse(questionLine(question!)), {
      prompt: 'Q',
      answer: [1, { b: 2.5 }],
    });
  });
});
