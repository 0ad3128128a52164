import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { openScorer, scoreBy } from '../../../actors/reward/scorer.ts';
import type { Outcome } from '../../../src/reward/outcome.ts';
import { rewardInput } from '../../support/reward-input.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';
import { keepingLogger } from '../../support/tiny-run.ts';

const never = new AbortController().signal;
const input = rewardInput({ response: 'a', responseLength: 1, groundTruth: 'a' });

describe('a JavaScript reward', () => {
  let folder: TemporaryDirectory;
  before(() => (folder = new TemporaryDirectory()));
  after(() => folder[Symbol.dispose]());

  function scorerOf(program: string) {
    const file = folder.write(`${String(Math.random()).slice(2)}.mjs`, program);
    const { logger, events } = keepingLogger();
    const source = { file, name: 'score' };
    const usual = { kwargs: {}, rewardType: 'batch', python: '', cpus: 1 } as const;
    const scorer = openScorer({ ...usual, source }, logger);
    const score = (limitMs = 20_000): Promise<Outcome[]> =>
      scoreBy(scorer, [input], limitMs, never);
    const told = (): unknown[] => events.map(({ fields }) => fields);
    return { scorer, score, told };
  }

  it('has all it prints logged, before, after and beside its calls', async () => {
    const { scorer, score, told } = scorerOf(`
      console.log('loaded\\nwhole');
      console.log('x'.repeat(1e6));
      process.on('exit', () => console.log('at exit'));
      export async function score() {
        setTimeout(() => console.error('beside'), 1);
        await new Promise((resolve) => setTimeout(resolve, 20));
        return [{ overall: 1 }];
      }`);
    {
      await using _ = scorer;
      assert.deepEqual(await score(), [{ parts: { overall: 1 } }]);
    }
    assert.deepEqual(told(), [
      { line: 'loaded' },
      { line: 'whole' },
      { line: `${'x'.repeat(2000)}…` },
      { line: 'beside' },
      { line: 'at exit' },
    ]);
  });

  it('that throws between two calls is logged, and started again by the next', async () => {
    const { scorer, score, told } = scorerOf(`
      export function score() {
        setTimeout(() => { throw new Error('beside'); }, 5);
        return [{ overall: 1 }];
      }`);
    await using _ = scorer;
    await score();
    while (told().length === 0) await setTimeout(5);
    const [{ why }] = told() as [{ why: string }];
    assert.match(why, /:score: its thread ended: beside$/);
    assert.deepEqual(await score(), [{ parts: { overall: 1 } }]);
  });
});
