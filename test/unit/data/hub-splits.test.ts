import assert from 'node:assert/strict';
import { splitsOf } from '../../../src/data/hub-splits.ts';

const card = (configs: string): string => `---\nlicense: mit\nconfigs:\n${configs}\n---\n# Text`;

function splits(files: readonly string[], readme: string | null = null): object | string {
  const found = splitsOf(files, readme);
  return typeof found === 'string' ? found : Object.fromEntries(found);
}

describe('splitsOf', () => {
  it('reads shards whose names say split and number', () => {
    const train = ['data/train-00000-of-00002.parquet', 'data/train-00001-of-00002.parquet'];
    const files = [...train, 'data/test-00000-of-00001-5b1f.parquet', 'extra.parquet'];
    assert.deepEqual(splits(files), { train, test: ['data/test-00000-of-00001-5b1f.parquet'] });
  });

  it('reads the words of paths, which are whole words', () => {
    assert.deepEqual(splits(['dev.jsonl', 'my_train_rows.jsonl', 'testing/a.jsonl']), {
      train: ['my_train_rows.jsonl'],
      validation: ['dev.jsonl'],
      test: ['testing/a.jsonl'],
    });
    assert.deepEqual(splits(['contest.jsonl', 'strained.jsonl']), {
      train: ['contest.jsonl', 'strained.jsonl'],
    });
  });

  it('takes the splits that the card of the data set names', () => {
    const files = ['a/one.jsonl', 'a/two.jsonl', 'b/one.jsonl', 'test.jsonl'];
    const named = card(
      '- config_name: default\n  data_files:\n' +
        '  - split: train\n    path: a/*\n  - split: hard\n    path: [b/one.jsonl, test.jsonl]',
    );
    assert.deepEqual(splits(files, named), {
      train: ['a/one.jsonl', 'a/two.jsonl'],
      hard: ['b/one.jsonl', 'test.jsonl'],
    });
    assert.deepEqual(splits(files, card('- config_name: x\n  data_files: a/*.jsonl')), {
      train: ['a/one.jsonl', 'a/two.jsonl'],
    });
    assert.deepEqual(splits(files, card('- config_name: x\n  data_dir: b')), {
      train: ['b/one.jsonl'],
    });
  });

  it('takes the default of several configs, and says when there is none', () => {
    const [en, zh] = [
      '- config_name: en\n  data_files: en.csv',
      '- config_name: zh\n  data_files: zh.csv',
    ];
    const files = ['en.csv', 'zh.csv'];
    assert.match(splitsOf(files, card(`${en}\n${zh}`)) as string, /configs en, zh .* default/);
    assert.deepEqual(splits(files, card(`${en}\n${zh}\n  default: true`)), { train: ['zh.csv'] });
  });

  it('says so of a pattern that would take for ever, and takes those that people write', () => {
    const files = [`${'a'.repeat(250)}.csv`, 'a.csv'];
    const bombs = [
      '*a'.repeat(30),
      '**/'.repeat(40),
      '{a,b}'.repeat(40),
      '{1..999999999}',
      '+(+(a))',
    ];
    for (const glob of bombs) {
      const found = splitsOf(files, card(`- config_name: x\n  data_files: "${glob}b"`));
      assert.match(found as string, /^its card has a pattern with too many wildcards: /);
    }
    for (const glob of ['**/*.csv', '*-of-*.csv', 'data/**/train-*-of-*.csv', '{a,b}*.csv']) {
      assert.equal(
        typeof splits(files, card(`- config_name: x\n  data_files: "${glob}"`)),
        'object',
      );
    }
  });

  it('is not disturbed by a card that is no card', () => {
    for (const text of ['# Only text', '---\nconfigs: none\n---', '---\nconfigs: [\n---', '']) {
      assert.deepEqual(splits(['rows.csv'], text), { train: ['rows.csv'] });
    }
  });
});
