import assert from 'node:assert/strict';
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConsoleLogger, metricText } from '../../../src/loggers/console.ts';
import { FileLogger } from '../../../src/loggers/file.ts';
import type { RunDescription } from '../../../src/loggers/logger.ts';
import { flattened, nested } from '../../../src/loggers/nesting.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const run: RunDescription = {
  project: 'p',
  experiment: 'e',
  config: { trainer: { seed: 1, logger: ['console'] }, data: { shuffle: true } },
  folder: '',
  resumedAfter: null,
  isLook: false,
};
const generation = { input: 'Q?', output: 'A', label: 'B', score: 0.5 };

describe('ConsoleLogger', () => {
  it('prints the config, then every step as a tree with its keys in order', () => {
    const written: string[] = [];
    const logger = new ConsoleLogger(run, (text) => written.push(text), 'metrics');
    logger.log(3, { 'actor/pg_loss': 0.12345, 'actor/lr': 1e-6, 'critic/score/mean': 2 });
    logger.logGenerations(3, [generation, { ...generation, score: 1 }]);
    assert.deepEqual(written, [
      'Config\ndata:\n  shuffle: true\ntrainer:\n  logger:\n    - console\n  seed: 1',
      'Step 3\nactor:\n  lr: 1.0e-06\n  pg_loss: 0.123\ncritic:\n  score:\n    mean: 2.0',
      '[prompt] Q?\n[output] A\n[ground_truth] B\n[score] 0.5\n\n' +
        '[prompt] Q?\n[output] A\n[ground_truth] B\n[score] 1.0\n',
    ]);
  });

  it('shows only answers beside a table of steps', () => {
    const written: string[] = [];
    const logger = new ConsoleLogger(run, (text) => written.push(text), 'table');
    logger.log(1, { a: 1 });
    logger.logGenerations(1, [generation]);
    assert.deepEqual(written, ['[prompt] Q?\n[output] A\n[ground_truth] B\n[score] 0.5\n']);
  });

  it('rounds to 3 decimals and keeps powers of ten, as Python prints them', () => {
    // By `repr(round(x, 3))`, or `repr(x)` where that has an exponent, in Python 3.11.
    const cases: [number, string][] = [
      [0.0005, '0.001'],
      [0.00012, '0.0'],
      [0.00009, '9.0e-05'],
      [1.25e-7, '1.25e-07'],
      [-3, '-3.0'],
      [1234.5678, '1234.568'],
      [1e16, '1.0e+16'],
      [123456789012345680000, '1.2345678901234568e+20'],
      [NaN, '.nan'],
      [-Infinity, '-.inf'],
    ];
    for (const [value, text] of cases) assert.equal(metricText(value), text);
  });
});

describe('FileLogger', () => {
  const read = (folder: string, name: string): string => readFileSync(join(folder, name), 'utf8');

  it('writes the config, a nested object a step, and the answers', () => {
    using folder = new TemporaryDirectory();
    const logger = new FileLogger({ ...run, folder: folder.path });
    logger.log(1, { 'actor/lr': 0.5, 'critic/score/mean': NaN });
    logger.logGenerations(1, [generation]);
    assert.deepEqual(JSON.parse(read(folder.path, 'experiment_config.json')), run.config);
    assert.equal(
      read(folder.path, 'experiment_log.jsonl'),
      '{"step":1,"actor":{"lr":0.5},"critic":{"score":{"mean":null}}}\n',
    );
    assert.equal(
      read(folder.path, 'generations.log'),
      '[prompt] Q?\n[output] A\n[ground_truth] B\n[score] 0.5\n\n',
    );
  });

  it('goes on with the files of a run that is resumed, less the steps done again', () => {
    using folder = new TemporaryDirectory();
    const first = new FileLogger({ ...run, folder: folder.path });
    for (const step of [1, 2, 3]) first.log(step, { 'a/b': step });
    first.logGenerations(3, [generation]);
    appendFileSync(join(folder.path, 'experiment_log.jsonl'), '{"step":4,"a":');
    new FileLogger({ ...run, folder: folder.path, resumedAfter: 2 }).log(3, { 'a/b': 30 });
    assert.equal(
      read(folder.path, 'experiment_log.jsonl'),
      '{"step":1,"a":{"b":1}}\n{"step":2,"a":{"b":2}}\n{"step":3,"a":{"b":30}}\n',
    );
    assert.match(read(folder.path, 'generations.log'), /Q\?/);
  });

  it('adds its validation to the files of a run that is looked at, and takes nothing away', () => {
    using folder = new TemporaryDirectory();
    const trained = new FileLogger({ ...run, folder: folder.path });
    for (const step of [1, 2]) trained.log(step, { a: step });
    trained.logGenerations(2, [generation]);
    for (const resumedAfter of [null, 1]) {
      const look = { ...run, folder: folder.path, config: {}, resumedAfter, isLook: true };
      new FileLogger(look).log(resumedAfter ?? 0, { a: 9 });
    }
    assert.equal(
      read(folder.path, 'experiment_log.jsonl'),
      '{"step":1,"a":1}\n{"step":2,"a":2}\n{"step":0,"a":9}\n{"step":1,"a":9}\n',
    );
    assert.match(read(folder.path, 'generations.log'), /Q\?/);
    assert.deepEqual(JSON.parse(read(folder.path, 'experiment_config.json')), run.config);
  });

  it('begins anew for a new run', () => {
    using folder = new TemporaryDirectory();
    new FileLogger({ ...run, folder: folder.path }).log(1, { a: 1 });
    new FileLogger({ ...run, folder: folder.path });
    assert.equal(read(folder.path, 'experiment_log.jsonl'), '');
  });
});

describe('names with slashes', () => {
  it('become a tree and back', () => {
    const flat = { 'a/b': 1, 'a/c/d': 2, e: 3 };
    assert.deepEqual(nested(flat), { a: { b: 1, c: { d: 2 } }, e: 3 });
    assert.deepEqual(flattened(nested(flat)), flat);
  });
});
