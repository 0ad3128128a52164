import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { configTable } from '../../../src/dashboard/readers/config.ts';
import { logPage } from '../../../src/dashboard/readers/log.ts';
import { LineTail } from '../../../src/dashboard/readers/line-tail.ts';
import { reducedIndices } from '../../../src/dashboard/readers/reduce.ts';
import { SampleFile, SampleFolder } from '../../../src/dashboard/readers/sample-files.ts';
import type { SampleRecord } from '../../../src/dashboard/readers/sample-record.ts';
import { Samples } from '../../../src/dashboard/readers/samples.ts';
import { validationReport } from '../../../src/dashboard/readers/validation.ts';
import { sampleLine } from '../../support/made-run.ts';
import { directoryForEach } from '../../support/temporary-directory.ts';

describe('a reader of the dashboard', () => {
  const temporary = directoryForEach();
  const path = (name: string): string => join(temporary.path, name);

  it('reads each whole line of a growing file once, wherever it is cut', async () => {
    const text = 'one\n\nthr\u00e9e\nand a fourth\n';
    const bytes = Buffer.from(text);
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 4 }), async (cuts) => {
        const file = path('growing');
        writeFileSync(file, '');
        const lines: string[] = [];
        class Lines extends LineTail {
          protected override take(line: Buffer, offset: number): void {
            assert.equal(offset, Buffer.byteLength(lines.map((one) => `${one}\n`).join('')));
            lines.push(String(line));
          }
          protected override forget(): void {
            assert.fail('the file is the same');
          }
        }
        const tail = new Lines(file);
        let from = 0;
        for (const to of [...cuts.sort((a, b) => a - b), bytes.length]) {
          appendFileSync(file, bytes.subarray(from, to));
          from = to;
          await tail.refresh();
        }
        assert.deepEqual(lines, text.split('\n').slice(0, -1));
      }),
      { numRuns: 20 },
    );
  });

  it('keeps of a curve its ends and extremes, however few points are wanted', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.double({ noNaN: true }), fc.constant(NaN)), { minLength: 1 }),
        fc.integer({ min: 4, max: 40 }),
        (values, most) => {
          const kept = reducedIndices(values, most);
          assert.ok(kept.length <= Math.max(most, 4));
          assert.deepEqual(
            kept,
            [...new Set(kept)].sort((a, b) => a - b),
          );
          assert.deepEqual([kept[0], kept.at(-1)], [0, values.length - 1]);
          const known = values.filter((value) => !Number.isNaN(value));
          if (known.length === 0) return;
          const shown = kept.map((i) => values[i]!).filter((value) => !Number.isNaN(value));
          // -0 and 0 are drawn at one height.
          const height = (value: number): number => value + 0;
          assert.equal(height(Math.max(...shown)), height(Math.max(...known)));
          assert.equal(height(Math.min(...shown)), height(Math.min(...known)));
        },
      ),
      { examples: [[[-Infinity, NaN], 4]] },
    );
  });

  it('pages a log whose lines are longer than what it reads at a time', async () => {
    const long = 'x'.repeat(600_000);
    const lines = [0, 1, 2].map((step) =>
      JSON.stringify({ level: 'info', step, long, msg: 'step' }),
    );
    writeFileSync(path('log'), `${lines.join('\n')}\n{"level":"info","half`);
    const last = await logPage(path('log'), { count: 2, level: 'debug' });
    assert.deepEqual(
      last.lines.map(({ fields }) => fields['step']),
      [1, 2],
    );
    const first = await logPage(path('log'), { count: 5, level: 'debug', before: last.before! });
    assert.deepEqual(
      first.lines.map(({ fields }) => fields['step']),
      [0],
    );
    assert.equal(first.before, null);
    assert.deepEqual(
      (await logPage(path('log'), { count: 5, level: 'debug', after: last.after })).lines,
      [],
    );
    appendFileSync(path('log'), '":1,"msg":"end"}\n');
    const more = await logPage(path('log'), { count: 5, level: 'debug', after: last.after });
    assert.deepEqual(
      more.lines.map(({ event }) => event),
      ['end'],
    );
  });

  it('follows a resumed run that takes its last steps again', async () => {
    const write = (step: number, count: number): void => {
      const lines = Array.from(
        { length: count },
        (_, row) => `${JSON.stringify(sampleLine(step, row))}\n`,
      );
      writeFileSync(path(`${step}.jsonl`), lines.join(''));
    };
    for (const step of [1, 2, 3]) write(step, 4);
    const samples = new Samples('rollout', new SampleFolder(temporary.path));
    await samples.files.refresh();
    assert.deepEqual(samples.files.index.columns().counts, [4, 4, 4]);
    rmSync(path('3.jsonl'));
    rmSync(path('2.jsonl'));
    write(2, 8);
    utimesSync(temporary.path, new Date(), new Date(Date.now() + 5000));
    await samples.files.refresh();
    assert.deepEqual(samples.files.index.columns(), {
      steps: [1, 2],
      counts: [4, 8],
      means: [0.55, 0.55],
    });
    const { total } = await samples.history('train.jsonl:1', { start: 0, count: 1 });
    assert.equal(total, 8);
  });

  it('opens a file of samples once, however many are wanted, and drops none that cannot be read', async () => {
    const lines = Array.from({ length: 300 }, (_, row) => JSON.stringify(sampleLine(1, row)));
    writeFileSync(path('1.jsonl'), `${lines.join('\n')}\n`);
    const samples = new Samples('rollout', new SampleFolder(temporary.path));
    await samples.files.refresh();
    const countOpen = (): number => readdirSync('/proc/self/fd').length;
    const before = countOpen();
    const most = { open: before, isRead: false };
    const reading = samples.records(1).finally(() => (most.isRead = true));
    while (!most.isRead) {
      most.open = Math.max(most.open, countOpen());
      await turn();
    }
    const outputs = (await reading).map(({ output }) => output);
    assert.deepEqual(
      outputs,
      lines.map((_, row) => sampleLine(1, row).output),
    );
    assert.ok(most.open - before <= 1, `${most.open - before} files were open`);
    rmSync(path('1.jsonl'));
    assert.deepEqual(await samples.records(1), []);
    mkdirSync(path('1.jsonl'));
    await assert.rejects(samples.records(1), { code: 'EISDIR' });
  });

  it('shows answers of validations and evaluations in the forms that these have', async () => {
    const generation = { step: 4, prompt: 'Which?', output: 'B', ground_truth: 'A', score: 0 };
    writeFileSync(path('generations.jsonl'), `${JSON.stringify(generation)}\n`);
    const chosen = new Samples(
      'validation',
      new SampleFile(path('generations.jsonl'), 'generation'),
    );
    await chosen.files.refresh();
    const one = await chosen.one({ step: 4, row: 0 });
    assert.deepEqual([one!.prompt, one!.groundTruth, one!.isRight], ['Which?', 'A', false]);
    const prediction = {
      messages: [
        { role: 'user', content: '<image>Which?' },
        { role: 'assistant', content: 'A' },
      ],
      images: ['x.png'],
      predict: 'A',
      scores: { sample: 2, tokens: 5, right: 1, reward: { overall: 0.9, format: 1 } },
    };
    writeFileSync(path('predictions.jsonl'), `${JSON.stringify(prediction)}\n{"predict`);
    const asked = new Samples(
      'evaluation',
      new SampleFile(path('predictions.jsonl'), 'prediction'),
    );
    await asked.files.refresh();
    const answer = await asked.one({ step: 0, row: 0 });
    assert.deepEqual(
      [answer!.prompt, answer!.groundTruth, answer!.isRight, answer!.score, answer!.sample],
      ['<image>Which?', 'A', true, 0.9, 2],
    );
    assert.equal(await asked.picture({ step: 0, row: 0 }, 0), path('x.png'));
  });

  it('hides what is secret in a config, in lists and mappings too', async () => {
    const config = {
      worker: {
        rollout: {
          mcp_servers: [
            {
              url: 'http://tools:8000',
              args: ['--fast'],
              headers: { Authorization: 'Bearer of-nobody', Accept: 'text/html' },
              env: { API_KEY: 'sk-of-nobody', HOME: '${HOME}', EMPTY: '' },
            },
          ],
        },
        judge: { 'X-Api-Key': 'sk', Authorization: 'sk', api_key_env: 'JUDGE_KEY', max_tokens: 9 },
        hub: { access_token: ['a', 'b'], tokenizer: 'letters', password: '${env:PASS,word}' },
      },
      trainer: { env: { HF: { name: 'secret' } } },
    };
    writeFileSync(path('config.json'), JSON.stringify(config));
    const { rows } = await configTable([{ id: 'one', folder: temporary.path }]);
    assert.deepEqual(Object.fromEntries(rows.map(({ key, values }) => [key, values[0]])), {
      'worker.rollout.mcp_servers': [
        {
          url: 'http://tools:8000',
          args: ['--fast'],
          headers: { Authorization: '***', Accept: '***' },
          env: { API_KEY: '***', HOME: '${HOME}', EMPTY: '' },
        },
      ],
      'worker.judge.X-Api-Key': '***',
      'worker.judge.Authorization': '***',
      'worker.judge.api_key_env': 'JUDGE_KEY',
      'worker.judge.max_tokens': 9,
      'worker.hub.access_token': ['***', '***'],
      'worker.hub.tokenizer': 'letters',
      'worker.hub.password': '***',
      'trainer.env.HF.name': '***',
    });
  });

  it('confuses findings as the multi-label confusion matrix does', () => {
    const answers: readonly (readonly [gold: string, said: string])[] = [
      ['edema, mass', 'edema, mass'], // two hits
      ['edema, mass', 'edema'], // mass is missed, and nothing named in its place
      ['edema', 'edema, nodule'], // all are named, and one too many: held against edema
      ['edema, mass', 'nodule, edema'], // mass is taken for a nodule
      ['mass', 'nodule'],
    ];
    const report = validationReport(3, answers.map(record));
    assert.deepEqual([report.task, report.answers, report.right], ['open', 5, 1]);
    const { rows, columns, counts } = report.matrix;
    const of = (row: string, column: string): number =>
      counts[rows.indexOf(row)]![columns.indexOf(column)]!;
    assert.deepEqual([of('edema', 'edema'), of('mass', 'mass')], [4, 1]);
    assert.deepEqual([of('mass', 'none'), of('edema', 'nodule'), of('mass', 'nodule')], [1, 1, 2]);
    assert.equal(
      counts.flat().reduce((sum, count) => sum + count, 0),
      9,
    );
    const mass = report.findings.find(({ name }) => name === 'mass')!;
    assert.deepEqual([mass.hits, mass.misses, mass.falseAlarms, mass.recall], [1, 3, 0, 0.25]);
  });

  it('has one row for a finding that is called none, and for answers without any', () => {
    const answers = [['edema, none', 'edema'] as const, ['', ''] as const];
    const { matrix } = validationReport(3, answers.map(record));
    const names = ['edema', 'none'];
    const counts = [
      [1, 0],
      [0, 2],
    ];
    assert.deepEqual(matrix, { rows: names, columns: names, counts });
  });
});

/** A record of an answer, of which only the texts matter. */
function record([groundTruth, output]: readonly [string, string], sample: number): SampleRecord {
  return {
    ...{ step: 3, promptId: 'p', sample, score: 0, parts: {}, tokens: 1 },
    ...{ pictures: [], prompt: '', output, turns: [], groundTruth },
    ...{ finishReason: 'stop', policyVersion: 0 },
  };
}
