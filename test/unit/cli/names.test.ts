import assert from 'node:assert/strict';
import { nearestKey } from '../../../src/check/nearest.ts';
import { runHere } from '../../support/cxmind-process.ts';

describe('a name that there is not', () => {
  for (const argv of [['inti'], ['help', 'inti']]) {
    it(`is answered with the command that is near: ${argv.join(' ')}`, async () => {
      const text = 'no command inti, did you mean init?';
      const { exitCode, text: told } = await runHere(argv);
      assert.deepEqual([exitCode, told], [2, text]);
    });
  }

  it('is answered with the way to the list where no command is near', async () => {
    const text = 'no command frobnicate; `cxmind help` lists them';
    const { exitCode, text: told } = await runHere(['frobnicate']);
    assert.deepEqual([exitCode, told], [2, text]);
  });

  for (const [argv, text] of [
    [['generate', '--modle', 'x', 'a prompt'], 'no flag --modle, did you mean --model?'],
    [
      ['generate', '--modle=x', '-z'],
      'no flag --modle, did you mean --model?\nno flag -z; --help lists them',
    ],
    [['eval', '--no-reprot'], 'no flag --no-reprot, did you mean --no-report?'],
    [['train', '--print-confg', 'a=1'], 'no flag --print-confg, did you mean --print-config?'],
    [
      ['launch', '--host', 'a', '--', 'train', '--print-confg'],
      'no flag --print-confg, did you mean --print-config?',
    ],
    [['merge', '--xyzzy'], 'no flag --xyzzy; --help lists them'],
  ] as const) {
    it(`is answered with the flag that is near: ${argv.join(' ')}`, async () => {
      const { exitCode, text: told } = await runHere(argv);
      assert.deepEqual([exitCode, told], [2, text]);
    });
  }

  it('has no nearest key where none is near', () => {
    assert.equal(nearestKey('foo.bar', ['data.seed', 'worker.rollout.n']), undefined);
    assert.equal(nearestKey('n', ['data.seed', 'worker.rollout.n']), 'worker.rollout.n');
  });
});
