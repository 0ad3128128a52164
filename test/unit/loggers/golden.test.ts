import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { mock } from 'node:test';
import { crc32c } from '../../../src/loggers/event-file.ts';
import { chosenGenerations, legacyShuffle } from '../../../src/loggers/generations.ts';
import type { RunDescription } from '../../../src/loggers/logger.ts';
import { localStamp, RecordLog } from '../../../src/loggers/offline-run.ts';
import { SwanLabLogger } from '../../../src/loggers/swanlab.ts';
import { TensorBoardLogger } from '../../../src/loggers/tensorboard.ts';
import { WandbLogger } from '../../../src/loggers/wandb.ts';
import { recordsOf } from '../../support/record-log-reader.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const golden = JSON.parse(
  readFileSync(join(import.meta.dirname, '../../golden/loggers/golden.json'), 'utf8'),
) as {
  shuffles: Record<string, number[]>;
  tensorboard: string;
  recordStore: { sizes: number[]; bytes: number; sha256: string };
  wandb: string[];
  swanlab: string[];
};

const run: RunDescription = {
  project: 'project',
  experiment: 'experiment',
  config: { a: { b: 1.5, c: true }, d: 'word' },
  folder: '',
  resumedAfter: null,
  isLook: false,
};
const now = (): number => 1_700_000_000_250;
const generation = { input: 'Q?', output: 'A', label: 'B', score: 0.5 };

describe('the answers chosen of a validation', () => {
  it('are shuffled as numpy does with seed 42', () => {
    for (const [n, order] of Object.entries(golden.shuffles)) {
      assert.deepEqual(legacyShuffle(Number(n), 42), order);
    }
  });

  it('are the same prompts at every validation, whatever order they come in', () => {
    const inputs = ['d', 'b', 'a', 'e', 'c'];
    const all = inputs.map((input) => ({ input, output: '', label: '', score: 0 }));
    const chosen = (list: typeof all): string[] =>
      chosenGenerations(list, 3).map(({ input }) => input);
    // Sorted a b c d e, then in the order 1 4 2 0 3 of the specification.
    assert.deepEqual(chosen(all), ['b', 'e', 'c']);
    assert.deepEqual(chosen(all.toReversed()), ['b', 'e', 'c']);
  });

  it('are sorted by code point, and equal prompts stay in their order', () => {
    const of = (input: string, output: string) => ({ input, output, label: '', score: 0 });
    // In UTF-16 the emoji's first unit is below U+FF5E.
    const all = [of('\u{1f600}', ''), of('x', 'first'), of('x', 'second'), of('\uff5e', '')];
    const order = legacyShuffle(4, 42);
    const shown = chosenGenerations(all, 4);
    const sorted = order.map((_, i) => shown[order.indexOf(i)]!);
    assert.deepEqual(
      sorted.map(({ input, output }) => input + output),
      ['xfirst', 'xsecond', '\uff5e', '\u{1f600}'],
    );
  });
});

describe('TensorBoardLogger', () => {
  it('has the CRC-32C of its published check value', () => {
    assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283);
  });

  it('writes the bytes that tensorboard itself writes', () => {
    using folder = new TemporaryDirectory();
    const logger = new TensorBoardLogger({ ...run, resumedAfter: 3 }, folder.path, now);
    logger.log(4, { 'val/reward_score': 0.1, 'actor/lr': 1e-6 });
    const events = join(folder.path, 'project', 'experiment');
    const [name = ''] = readdirSync(events);
    assert.match(name, /^events\.out\.tfevents\.1700000000\./);
    assert.equal(readFileSync(join(events, name)).toString('base64'), golden.tensorboard);
  });

  it('writes into no file that is there already', () => {
    using folder = new TemporaryDirectory();
    const tick = mock.method(process.hrtime, 'bigint', () => 5n);
    try {
      const open = () => new TensorBoardLogger(run, folder.path, now);
      open();
      assert.throws(open, { code: 'EEXIST' });
    } finally {
      tick.mock.restore();
    }
  });
});

describe('RecordLog', () => {
  it("writes the bytes that SwanLab's own store writes, across the ends of blocks", () => {
    using folder = new TemporaryDirectory();
    const path = join(folder.path, 'store');
    const log = new RecordLog(path, { ident: ':SWL', magic: 0xe1d6, version: 2 });
    for (const [i, size] of golden.recordStore.sizes.entries()) {
      log.append(Uint8Array.from({ length: size }, (_, j) => (i + j) % 251));
    }
    log.close();
    const bytes = readFileSync(path);
    assert.equal(bytes.length, golden.recordStore.bytes);
    assert.equal(hash('sha256', bytes), golden.recordStore.sha256);
    assert.deepEqual(
      recordsOf(bytes).map(({ length }) => length),
      golden.recordStore.sizes,
    );
  });
});

describe('the stamp in the name of an offline run', () => {
  it('is the local time', () => {
    assert.equal(localStamp(new Date(2025, 0, 31, 23, 59, 58).getTime()), '20250131_235958');
    assert.equal(localStamp(new Date(2025, 6, 1, 0, 2, 3).getTime()), '20250701_000203');
  });
});

describe('WandbLogger', () => {
  it('writes the messages that wandb itself would, and its table of answers', () => {
    using folder = new TemporaryDirectory();
    const options = { root: folder.path, entity: 'team', id: 'abcd1234' };
    const logger = new WandbLogger(run, options, now);
    logger.log(1, { 'actor/loss': 0.5, 'actor/grad_norm': NaN });
    logger.logGenerations(1, [generation]);
    logger.finish('finished');
    assert.match(logger.folder, /\/wandb\/offline-run-20231\d{3}_\d{6}-abcd1234$/);
    const bytes = readFileSync(join(logger.folder, 'run-abcd1234.wandb'));
    assert.equal(bytes.subarray(0, 7).toString('latin1'), ':W&B\xe1\xbe\0');
    assert.deepEqual(
      recordsOf(bytes).map((record) => Buffer.from(record).toString('base64')),
      golden.wandb,
    );
    const [table = ''] = readdirSync(join(logger.folder, 'files/media/table/val'));
    const { columns, data } = JSON.parse(
      readFileSync(join(logger.folder, 'files/media/table/val', table), 'utf8'),
    ) as { columns: string[]; data: unknown[][] };
    assert.deepEqual(columns, ['step', 'input_1', 'output_1', 'label_1', 'score_1']);
    assert.deepEqual(data, [[1, 'Q?', 'A', 'B', 0.5]]);
  });

  it('repeats earlier rows in a later table', () => {
    using folder = new TemporaryDirectory();
    const logger = new WandbLogger(run, { root: folder.path }, now);
    logger.logGenerations(2, [generation]);
    logger.logGenerations(4, [{ ...generation, score: 1 }]);
    logger.finish('finished');
    const tables = join(logger.folder, 'files/media/table/val');
    const last = readdirSync(tables).find((name) => name.startsWith('generations_4_'))!;
    const { data } = JSON.parse(readFileSync(join(tables, last), 'utf8')) as { data: unknown };
    assert.deepEqual(data, [
      [2, 'Q?', 'A', 'B', 0.5],
      [4, 'Q?', 'A', 'B', 1],
    ]);
  });
});

describe('SwanLabLogger', () => {
  it('writes the messages that SwanLab itself would, its config and the answers as texts', () => {
    using folder = new TemporaryDirectory();
    mkdirSync(join(folder.path, 'logs'));
    const logger = new SwanLabLogger(run, join(folder.path, 'logs'), { now, id: 'ID' });
    logger.log(1, { 'actor/loss': 0.5 });
    logger.logGenerations(1, [generation]);
    logger.finish('finished');
    const config = join(logger.folder, 'files/config.yaml');
    const [start, save, ...rest] = recordsOf(readFileSync(join(logger.folder, 'run-ID.swanlab')));
    const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
    assert.equal(text(start!), golden.swanlab[0]);
    assert.ok(Buffer.from(save!).includes(config));
    assert.deepEqual(rest.map(text), golden.swanlab.slice(2));
    assert.equal(
      readFileSync(config, 'utf8').split('\n').slice(0, 6).join('\n'),
      'FRAMEWORK:\n  desc: ""\n  sort: 1\n  value: cxmind\nUPPERFRAMEWORK:\n  desc: ""',
    );
    const [answer = ''] = readdirSync(join(logger.folder, 'media/text'));
    assert.match(answer, /^001-[0-9a-f]{8}\.txt$/);
    assert.equal(
      readFileSync(join(logger.folder, 'media/text', answer), 'utf8'),
      'input: Q?\n\n---\n\noutput: A\n\n---\n\nlabel: B\n\n---\n\nscore: 0.5',
    );
  });
});
