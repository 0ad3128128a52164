import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { snakeCase, type Event } from '../../../../src/cli/output/events.ts';
import { JsonOutput } from '../../../../src/cli/output/json-output.ts';
import { mannerOf, type Level } from '../../../../src/cli/output/output.ts';
import { withVariables } from '../../../support/environment.ts';

/** Output for machines, and the objects that it wrote. */
function kept(level: Level = 'usual'): { output: JsonOutput; events: () => unknown[] } {
  let text = '';
  const output = new JsonOutput(level, (line, written) => {
    text += line;
    written();
  });
  const events = (): unknown[] => {
    const lines = text === '' ? [] : text.replace(/\n$/, '').split('\n');
    return lines.map((line) => JSON.parse(line) as unknown);
  };
  return { output, events };
}

describe('output for machines', () => {
  it('is one JSON object a line whatever it is told', async () => {
    const { output, events } = kept();
    const text = 'two\nlines \u001b[2J \u202e \u2028 "';
    output.say(text);
    output.warn(text);
    output.pass('stderr', 'a\nb\n');
    await output.tell({ event: 'result', command: 'x', NaN });
    output.fail({ exitCode: 2, code: 'DATA_INVALID', text, detail: { line: 3 } });
    assert.deepEqual(events(), [
      { event: 'note', text },
      { event: 'warning', text },
      { event: 'output', stream: 'stderr', text: 'a' },
      { event: 'output', stream: 'stderr', text: 'b' },
      { event: 'result', command: 'x', NaN: null },
      { event: 'error', code: 'DATA_INVALID', message: text, detail: { line: 3 }, exit_code: 2 },
    ]);
  });

  it('hides secrets', async () => {
    const { output, events } = kept();
    await withVariables({ SOME_TOKEN: 'hush-hush' }, () => {
      const text = 'it is hush-hush';
      output.say(text);
      const detail = { line: 3, issues: [{ got: '"hush-hush"', source: 'argument x=hush-hush' }] };
      output.fail({ exitCode: 2, code: 'CONFIG_INVALID', text, detail });
      return Promise.resolve();
    });
    const text = 'it is ${SOME_TOKEN}';
    const issues = [{ got: '"${SOME_TOKEN}"', source: 'argument x=${SOME_TOKEN}' }];
    assert.deepEqual(events(), [
      { event: 'note', text },
      {
        event: 'error',
        code: 'CONFIG_INVALID',
        message: text,
        detail: { line: 3, issues },
        exit_code: 2,
      },
    ]);
  });

  it('tells of phases where it is verbose, and of no notes and steps where it is quiet', () => {
    const pace = { step: 1, steps: 2, seconds: 1, secondsLeft: 1 };
    const step = { ...pace, loss: 2, gradNorm: 1, learningRate: 1e-3, tokensPerSecond: 9 };
    const names = (level: Level): unknown[] => {
      const { output, events } = kept(level);
      using reporter = output.reporter();
      reporter.phase({ name: 'rollout', total: 8, done: () => 8 })[Symbol.dispose]();
      reporter.supervisedStep(step);
      reporter.note('a note');
      reporter.note('warning: a warning');
      return events().map((event) => (event as { event: unknown }).event);
    };
    assert.deepEqual(names('quiet'), ['warning']);
    assert.deepEqual(names('usual'), ['sft_step', 'note', 'warning']);
    assert.deepEqual(names('verbose'), ['phase', 'sft_step', 'note', 'warning']);
  });

  it('is described in the page of the commands, every kind of line', () => {
    const page = readFileSync(join(import.meta.dirname, '../../../../src/cli/README.md'), 'utf8');
    const kinds: Readonly<Record<Event['event'], true>> = {
      ...{ note: true, detail: true, warning: true, phase: true, step: true, sft_step: true },
      ...{ finding: true, response: true, listening: true, log: true, output: true },
      ...{ result: true, error: true },
    };
    const described = [...page.matchAll(/^\| `(\w+)` +\| \S/gm)].map(([, name]) => name);
    assert.deepEqual(described, Object.keys(kinds));
  });

  it('has the keys of metrics and files', () => {
    assert.deepEqual(snakeCase({ gradNorm: 1, klOfAll: 2, step: 3 }), {
      grad_norm: 1,
      kl_of_all: 2,
      step: 3,
    });
  });
});

describe('the manner of a command line', () => {
  it('is read from its flags, behind -- only where launch runs another command', () => {
    const cases = [
      [['train', 'a=1', '--json'], { isJson: true, level: 'usual' }],
      [['train', '--quiet'], { isJson: false, level: 'quiet' }],
      [['generate', '--verbose', '--', '--json'], { isJson: false, level: 'verbose' }],
      [['launch', '--host', 'a', '--', 'train', '--json'], { isJson: true, level: 'usual' }],
    ] as const;
    for (const [argv, manner] of cases) assert.deepEqual(mannerOf(argv), manner);
  });
});
