import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync, closeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { failureOf } from '../../../src/cli/exit-code.ts';
import { openDataFile } from '../../../src/data/raw-row.ts';
import { asCxmindError, CxmindError } from '../../../src/errors.ts';
import { writeFileAtomically } from '../../../src/files.ts';
import { createLogger } from '../../../src/log.ts';
import { loadCheckpoint } from '../../../src/model/checkpoint/checkpoint.ts';
import { SafetensorsReader } from '../../../src/model/checkpoint/safetensors.ts';
import { PromptFormat } from '../../../src/text/prompt-format.ts';
import { Tokenizer } from '../../../src/text/tokenizer.ts';
import { decodeImage } from '../../../src/vision/decode.ts';
import { readHostfile } from '../../../transport/launch/hostfile.ts';
import { bin } from '../../support/cxmind-process.ts';
import { withVariables } from '../../support/environment.ts';

describe('the output of a command', () => {
  const full = '/dev/full';

  before(function () {
    if (!existsSync(full)) this.skip();
  });

  /** Runs a command whose standard output, and error where asked for, is a disk without space. */
  async function toFullDisk(
    args: readonly string[],
    error: 'pipe' | 'full' = 'pipe',
  ): Promise<{ readonly code: number; readonly said: string }> {
    const disk = openSync(full, 'w');
    const stderr = error === 'full' ? disk : 'pipe';
    const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', disk, stderr] });
    closeSync(disk);
    let said = '';
    child.stderr?.on('data', (bytes: Buffer) => (said += bytes.toString()));
    const [code] = (await once(child, 'close')) as [number];
    return { code, said };
  }

  it('may be closed by its reader', async () => {
    const child = spawn(process.execPath, [bin, 'config', '--table'], { stdio: 'pipe' });
    child.stdout.once('data', () => child.stdout.destroy());
    let said = '';
    child.stderr.on('data', (bytes: Buffer) => (said += bytes.toString()));
    const [code] = (await once(child, 'close')) as [number];
    assert.deepEqual({ code, said }, { code: 0, said: '' });
  });

  it('fails a command that does nothing but print when its disk is full', async () => {
    const { code, said } = await toFullDisk(['config', '--table']);
    assert.equal(code, 1);
    assert.match(said, /^cannot write to standard output: .*no space left on device.*\n$/);
  });

  it('keeps no exit code from its caller when there is nowhere to tell why', async () => {
    assert.equal((await toFullDisk(['inti'], 'full')).code, 2);
  });
});

describe('failureOf', () => {
  it('tells a fault of ours in one line, with its stack only where that is asked for', async () => {
    const faults = [
      new TypeError('x is not a function'),
      asCxmindError(new TypeError('y')),
      { a: { b: [1] } },
    ];
    const texts = faults.map((fault) => failureOf(fault).text);
    assert.deepEqual(
      texts.map((text) => text.replace(/ \(a fault of cxmind: CXMIND_DEBUG=1 shows where\)$/, '')),
      ['x is not a function', 'y', '{ a: { b: [Array] } }'],
    );
    const { text } = await withVariables({ CXMIND_DEBUG: '1' }, () =>
      Promise.resolve(failureOf(faults[0])),
    );
    assert.match(text, /^TypeError: x is not a function\n {4}at /);
  });

  it('says in one line what the operating system refused, whoever asked it', async () => {
    const none = '/none/of it';
    const attempts: Readonly<Record<string, () => unknown>> = {
      'a data file': () => openDataFile(none),
      'a picture': () => decodeImage(none),
      'a prompt format': () => PromptFormat.load(none),
      'a tokenizer': () => Tokenizer.load(none),
      'a model': () => loadCheckpoint(none),
      weights: () => SafetensorsReader.open(none),
      'a hostfile': () => readHostfile(none),
      'a log': () => createLogger({ path: '/dev/null/x/y' }),
      'a file to write': () => writeFileAtomically('/dev/null/x/y', ''),
      'what nobody foresaw': () => readFile(none),
    };
    for (const [what, attempt] of Object.entries(attempts)) {
      const thrown: unknown = await Promise.resolve()
        .then(attempt)
        .catch((error: unknown) => error);
      assert.match(failureOf(thrown).text, /^.*(no such file|not a directory)[^\n]*$/, what);
    }
  });

  it('names what a cause says that its error does not', () => {
    const cause = new AggregateError([new Error('connect ECONNREFUSED')]);
    const error = new CxmindError('PEER_LOST', 'head: no answer', { cause: asCxmindError(cause) });
    assert.equal(failureOf(error).text, 'head: no answer\n  caused by: connect ECONNREFUSED');
  });
});
