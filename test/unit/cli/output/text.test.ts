import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { noteTo } from '../../../../src/cli/output/output.ts';
import { TextOutput } from '../../../../src/cli/output/text-output.ts';
import type { Level } from '../../../../src/cli/output/output.ts';
import { withVariables } from '../../../support/environment.ts';

/** A stream that keeps what is written, and says that it is a terminal of 80 columns where that is asked for. */
function screen(isTerminal: boolean): { stream: NodeJS.WriteStream; shown: () => string } {
  let text = '';
  const write = (bytes: Buffer, _: string, done: () => void): void => {
    text += bytes.toString();
    done();
  };
  const stream = Object.assign(new Writable({ write }), {
    isTTY: isTerminal,
    columns: 80,
    getColorDepth: () => (process.env['NO_COLOR'] === undefined ? 8 : 1),
  });
  return { stream: stream as unknown as NodeJS.WriteStream, shown: () => text };
}

function saying(level: Level, isTerminal = false) {
  const [out, error] = [screen(isTerminal), screen(isTerminal)];
  const output = new TextOutput(level, { stdout: out.stream, stderr: error.stream });
  return { output, out: out.shown, error: error.shown };
}

const failure = { exitCode: 2, code: 'CONFIG_INVALID', text: 'wrong\nat b', detail: {} } as const;
const result = { event: 'result', command: 'merge' } as const;

/** Says one thing of every kind. */
async function sayAll({ output }: ReturnType<typeof saying>): Promise<void> {
  output.say('on the way');
  output.detail('by the way');
  noteTo(output, 'warning: mind the gap');
  await output.tell(result, 'there', (text, { strong }) => strong(text));
  output.fail(failure);
}

describe('output for people', () => {
  const variables = { NO_COLOR: undefined, FORCE_COLOR: undefined };

  it('says as much as it is asked for, and results and warnings in any case', async () => {
    for (const [level, lines] of [
      ['quiet', 'there\n'],
      ['usual', 'on the way\nthere\n'],
      ['verbose', 'on the way\nby the way\nthere\n'],
    ] as const) {
      const screens = saying(level);
      await sayAll(screens);
      assert.equal(screens.out(), lines);
      assert.equal(screens.error(), 'warning: mind the gap\nwrong\nat b\n');
    }
  });

  it('has colours in a terminal that takes them, and nowhere else but by FORCE_COLOR', async () => {
    const coloured = [
      '\u001b[1mthere\u001b[22m',
      '\u001b[1m\u001b[35mwarning:\u001b[39m\u001b[22m mind the gap',
    ];
    const hasColours = async (isTerminal: boolean): Promise<boolean> => {
      const screens = saying('usual', isTerminal);
      await sayAll(screens);
      const shown = screens.out() + screens.error();
      const count = coloured.filter((part) => shown.includes(part)).length;
      assert.ok(count === 0 ? !shown.includes('\u001b[3') : count === 2, shown);
      return count === 2;
    };
    await withVariables(variables, async () => {
      assert.equal(await hasColours(true), true);
      assert.equal(await hasColours(false), false);
    });
    await withVariables({ ...variables, NO_COLOR: '1' }, async () => {
      assert.equal(await hasColours(true), false);
    });
  });

  it('lets no text of others draw in the terminal, painted or not', async () => {
    await withVariables(variables, async () => {
      const { output, out } = saying('usual', true);
      await output.tell(result, 'a\u001b[2Jb', (text, { good }) => good(text));
      output.say('c\u001b]0;d\u0007');
      assert.equal(out(), '\u001b[32ma\\u001b[2Jb\u001b[39m\nc\\u001b]0;d\\u0007\n');
    });
  });

  it('keeps the line of progress below everything that is written, and takes it away', async () => {
    const { output, out, error } = saying('usual', true);
    {
      using reporter = output.reporter();
      using _ = reporter.phase({ name: 'rollout', total: 8, done: () => 2 });
      reporter.note('first');
      reporter.note('warning: second');
    }
    await output.tell(result, 'last');
    const bar = '█'.repeat(6) + '░'.repeat(18);
    const line = `rollout       ${bar} 2/8  0:00`;
    const gone = '\u001b[1G\u001b[2K';
    assert.equal(out(), `first\n${line}${gone}${line}${gone}last\n`);
    assert.match(error(), /second\n$/);
  });

  it('draws no progress where there is no terminal, nor where people want quiet', () => {
    for (const screens of [saying('usual'), saying('quiet', true)]) {
      using reporter = screens.output.reporter();
      using _ = reporter.phase({ name: 'rollout', total: 8, done: () => 2 });
      reporter.note('a note');
      assert.ok(['', 'a note\n'].includes(screens.out()));
    }
  });
});
