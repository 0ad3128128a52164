import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { completionScript } from '../../../src/cli/commands/completion.ts';
import { bin } from '../../support/cxmind-process.ts';

describe('completion', () => {
  let script: string;
  before(() => {
    const { stdout, status } = spawnSync(process.execPath, [bin, 'completion', 'bash']);
    assert.equal(status, 0);
    script = stdout.toString();
  });

  /** Words that bash offers for the last word; it takes a `=` for a word of its own. */
  function offered(...words: string[]): string[] {
    const ask =
      `COMP_WORDS=("$@"); COMP_CWORD=${words.length}; compopt() { :; }; ` +
      'set -- cxmind "$@"; COMP_WORDS=("$@"); _cxmind; echo "${COMPREPLY[*]}"';
    const { stdout, stderr } = spawnSync('bash', ['-c', `${script}\n${ask}`, 'bash', ...words]);
    assert.equal(stderr.toString(), '');
    return stdout.toString().trim().split(' ').filter(Boolean);
  }

  it('offers commands, their flags wherever they stand, and keys', () => {
    assert.deepEqual(offered('s'), ['save', 'score', 'serve', 'sft', 'status', 'stop']);
    assert.deepEqual(offered('generate', '--mo'), ['--model']);
    assert.deepEqual(offered('generate', '--model', 'x', 'a prompt', '--max'), ['--max-tokens']);
    assert.deepEqual(offered('eval', '--no-re'), ['--no-report']);
    assert.deepEqual(offered('train', 'config', '=', 'x.yaml', 'sft.val'), [
      'sft.val_files=',
      'sft.val_freq=',
    ]);
    assert.deepEqual(offered('train', 'con'), ['config=']);
  });

  it('leaves values and what it does not know to the shell, which completes files', () => {
    assert.deepEqual(offered('train', 'config', '=', 'con'), []);
    assert.deepEqual(offered('train', 'config', '='), []);
    assert.deepEqual(offered('generate', '--model', 'r'), []);
    assert.deepEqual(offered('frobnicate', '-'), []);
  });

  it('is a script that zsh reads', function () {
    const text = completionScript('zsh', [{ name: 'train', words: ['--help', 'data.seed='] }]);
    const { status, stderr, error } = spawnSync('zsh', ['-n'], { input: text });
    if (error !== undefined) this.skip();
    assert.equal(stderr.toString(), '');
    assert.equal(status, 0);
  });
});
