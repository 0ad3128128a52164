/** Results of the blocks of guides, where they take no run of cxmind. */
import assert from 'node:assert/strict';
import { configFrom } from '../../../src/config/load.ts';
import type { EpisodeMessage } from '../../../src/environment/environment.ts';
import { loadEnvironment, toolsOf } from '../../../src/environment/load.ts';
import { loadUserFunction } from '../../../src/reward/user-function.ts';
import { blockOf, pageText } from '../../support/pages.ts';
import { rewardInput } from '../../support/reward-input.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

describe('the page of the configuration', () => {
  const page = 'configs/README.md';

  const objectives = /^\| objective \|[^]*?^$/m.exec(pageText(page))![0];
  for (const [, name, choices] of objectives.matchAll(/^\| (.*) \| (`.*`) \|$/gm)) {
    it(`has an objective whose keys go together: ${name!}`, async () => {
      for (const choice of choices!.split(' or ')) {
        const items = [...choice.matchAll(/`([^`]+)`/g)].map(([, item]) => item!);
        const { issues } = await configFrom(['worker.rollout.n=4', ...items], { purpose: null });
        assert.deepEqual(issues, []);
      }
    });
  }

  it('has a curriculum of two stages', async () => {
    using temporary = new TemporaryDirectory();
    const file = temporary.write('page.yaml', blockOf(page, 'yaml', 'A curriculum'));
    const { config } = await configFrom([`config=${file}`], { purpose: null });
    assert.deepEqual(
      config.curriculum.map(({ name }) => name),
      ['closed', 'open'],
    );
  });

  it('quotes the error of a misspelt key as it is', async () => {
    const [error] = blockOf(page, 'text', 'Configuration').split('\n');
    const items = ['worker.rollout.n=2', 'trainer.max_step=1'];
    await assert.rejects(configFrom(items, { purpose: null }), { message: error });
  });
});

describe('the guides', () => {
  it('have a reward function that loads and scores', async () => {
    using temporary = new TemporaryDirectory();
    const text = blockOf('examples/own-reward.md', 'ts', 'A function');
    const file = temporary.write('brief.ts', text);
    const brief = await loadUserFunction({ file, name: 'brief' }, { max_tokens: 40 });
    const input = rewardInput({ response: 'It is B.', responseLength: 20, groundTruth: 'B' });
    assert.deepEqual(await brief.score([input]), [{ parts: { overall: 0.75, accuracy: 1 } }]);
  });

  it('have an environment that loads and answers', async () => {
    using temporary = new TemporaryDirectory();
    const section = 'In TypeScript or JavaScript';
    const text = blockOf('examples/own-environment.md', 'ts', section);
    const file = temporary.write('dice.ts', text);
    const { tools, play } = await loadEnvironment({ file, name: 'dice' }, { sides: 1 });
    assert.equal(toolsOf(tools)[0]!.function.name, 'roll');
    const start = { prompt: '', images: [], groundTruth: '', columns: {}, seed: 7 };
    const turn = (...names: string[]): EpisodeMessage[] => {
      const toolCalls = names.map((name) => ({ name, arguments: {} }));
      return [{ role: 'assistant', content: '', toolCalls }];
    };
    const rolled = await play({ id: '1', start, steps: [turn('roll')], over: [] });
    const messages = [{ role: 'tool', content: '1' }];
    assert.deepEqual(rolled, { reply: { messages, done: false } });
    const ended = await play({ id: '1', start: null, steps: [turn()], over: [] });
    assert.deepEqual(ended, { reply: { messages: [], done: true } });
  });
});
