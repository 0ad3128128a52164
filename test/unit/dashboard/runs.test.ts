import assert from 'node:assert/strict';
import { once } from 'node:events';
import { appendFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import { join } from 'node:path';
import { mock } from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { runControl } from '../../../actors/run-folder/requests.ts';
import type { Event } from '../../../src/dashboard/api.ts';
import { EventStream } from '../../../src/dashboard/http/event-stream.ts';
import type { RunView } from '../../../src/dashboard/run-view.ts';
import { Runs } from '../../../src/dashboard/runs.ts';
import { listenAt } from '../../../src/serving/http.ts';
import { runHere } from '../../support/cxmind-process.ts';
import { jsonLines } from '../../support/json-lines.ts';
import { writeMadeRun } from '../../support/made-run.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

function isOfValidation(event: Event): boolean {
  return event.type === 'grown' && event.what === 'validation';
}

describe('runs in a folder', () => {
  let temporary: TemporaryDirectory;
  let folder: string;
  before(() => {
    temporary = new TemporaryDirectory();
    folder = join(temporary.path, 'one');
    writeMadeRun(folder, { steps: 3, status: { state: 'done' } });
  });
  after(() => temporary[Symbol.dispose]());

  /** A run that kept one answer of its validation, and that keeps all once it is resumed. */
  async function stoppedRun(control = runControl): Promise<{ run: RunView; resume: () => void }> {
    const stopped = join(temporary.path, 'stopped');
    rmSync(stopped, { recursive: true, force: true });
    const samples = { rollout: 'rollouts', validation: null };
    writeMadeRun(stopped, { steps: 5, status: { state: 'stopped', samples } });
    const generation = { step: 5, prompt: 'Which?', output: 'B', ground_truth: 'A', score: 0 };
    writeFileSync(join(stopped, 'generations.jsonl'), `${JSON.stringify(generation)}\n`);
    const [run] = await new Runs([stopped], control).find();
    const resume = () => writeMadeRun(stopped, { steps: 5, status: { state: 'done' } });
    return { run: run!, resume };
  }

  it('have one set of readers and one status, however many look for them at once', async () => {
    const runs = new Runs([temporary.path], runControl);
    const [[one], [other]] = await Promise.all([runs.find(), runs.find()]);
    assert.equal(one, other);
    const listings = await Promise.all([one!.freshListing(), one!.freshListing()]);
    assert.deepEqual(
      listings.map(({ state, step }) => [state, step]),
      [
        ['done', 3],
        ['done', 3],
      ],
    );
  });

  it('have their validations anew where a resumed run keeps all of its answers', async () => {
    const { run, resume } = await stoppedRun();
    await run.changes();
    const chosen = await run.validation();
    assert.deepEqual([chosen!.answers, chosen!.isWhole], [1, false]);
    resume();
    assert.ok((await run.changes()).some(isOfValidation));
    const all = await run.validation();
    assert.deepEqual([all!.answers, all!.isWhole], [8, true]);
  });

  it('have their validations anew where the run is resumed while they are read', async () => {
    const { run, resume } = await stoppedRun();
    const samples = await run.samples('validation');
    const read = samples.records.bind(samples);
    samples.records = async (step) => {
      const records = await read(step);
      resume();
      await run.freshListing();
      return records;
    };
    await run.validation();
    const all = await run.validation();
    assert.deepEqual([all!.answers, all!.isWhole], [8, true]);
  });

  it('tell of new validations where the run is resumed while changes are looked for', async () => {
    const control = { ...runControl };
    const { run, resume } = await stoppedRun(control);
    const resumeMeanwhile = async (): Promise<[]> => {
      resume();
      await run.freshListing();
      return [];
    };
    mock.method(control, 'requests', resumeMeanwhile, { times: 1 });
    await run.changes();
    assert.ok((await run.changes()).some(isOfValidation));
  });

  it('are not told to a page that left while they were looked for', async () => {
    const added = Promise.withResolvers<ServerResponse>();
    const left = Promise.withResolvers<unknown>();
    const control = { ...runControl, holder: () => left.promise.then(() => 'none' as const) };
    const options = { lookMs: 20, onError: added.reject };
    const events = new EventStream(new Runs([temporary.path], control), options);
    await using server = createServer((_, response) => {
      left.resolve(once(response, 'close'));
      events.add(response).then(() => added.resolve(response), added.reject);
      leaving.abort();
    });
    const leaving = new AbortController();
    const url = await listenAt(server, '127.0.0.1', 0);
    await assert.rejects(fetch(url, { signal: leaving.signal }), { name: 'AbortError' });
    try {
      assert.equal((await added.promise).headersSent, false);
    } finally {
      events.close();
    }
  });

  it('have their log printed whole, and on a terminal what fits it, with its levels in colour', async () => {
    const lines = [
      {
        time: '2026-01-02T03:04:05.000Z',
        level: 'warn',
        score: 0.123456789,
        text: 'x'.repeat(60),
        msg: 'odd',
      },
      { time: '2026-01-02T03:04:06.000Z', level: 'info', msg: 'even' },
    ];
    const other = join(temporary.path, 'other');
    writeMadeRun(other, { steps: 1, status: { state: 'failed', lastError: 'the disk is full' } });
    writeFileSync(join(other, 'cxmind.log'), jsonLines(...lines));
    const whole = await runHere(['logs', other]);
    const [line] = whole.text.split('\n');
    assert.equal(line, `${lines[0]!.time} warn  odd score=0.123456789 text=${'x'.repeat(60)}`);
    const colours = { FORCE_COLOR: '1', NO_COLOR: '' };
    const shown = await runHere(['logs', other], colours, { columns: 60 });
    assert.ok(shown.text.includes('\u001b[35mwarn'));
    assert.deepEqual(stripVTControlCharacters(shown.text).split('\n'), [
      '2026-01-02T03:04:05.000Z warn  odd score=0.1235 text=xxxxxx…',
      '2026-01-02T03:04:06.000Z info  even',
    ]);
    const { text } = await runHere(['status', other], colours, { columns: 60 });
    assert.ok(text.includes(': \u001b[31mfailed\u001b[39m, step 1 of 2\n'));
    assert.match(
      stripVTControlCharacters(text),
      /cuda:0: 60\.0 GiB of 80\.0 GiB of its memory in use\n/,
    );
  });

  it('have their last lines printed, however many of lower levels lie between', async () => {
    // A page of the log reads 16 MiB.
    const quiet = `${JSON.stringify({ level: 'debug', msg: 'x'.repeat(2 ** 20) })}\n`.repeat(17);
    appendFileSync(join(folder, 'cxmind.log'), `${quiet}{"level":"info","msg":"last"}\n`);
    const { exitCode, text } = await runHere(['logs', folder, '--lines', '3']);
    assert.equal(exitCode, 0);
    assert.deepEqual(
      text.split('\n').map((line) => /(last|step=\d)$/.exec(line)?.[0]),
      ['step=2', 'step=3', 'last'],
    );
  });
});
