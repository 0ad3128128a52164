/** Results of the blocks of guides, where they take no run of cxmind. */
import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { Environments } from '../../../actors/environment/environments.ts';
import { configFrom } from '../../../src/config/load.ts';
import type { EpisodeMessage } from '../../../src/environment/environment.ts';
import { loadEnvironment, toolsOf } from '../../../src/environment/load.ts';
import { loadUserFunction } from '../../../src/reward/user-function.ts';
import { blockOf, pageText } from '../../support/pages.ts';
import { rewardInput } from '../../support/reward-input.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';
import { keepingLogger } from '../../support/tiny-run.ts';

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

  it('have a server of tools that answers the policy', async () => {
    using temporary = new TemporaryDirectory();
    const text = blockOf('examples/own-environment.md', 'yaml', 'Servers of tools');
    const file = temporary.write('page.yaml', text);
    const { config } = await configFrom([`config=${file}`], { purpose: null });
    const { mcpServers, multiTurn } = config.worker.rollout;
    const program = fileURLToPath(new URL('../../../examples/tools/glossary.ts', import.meta.url));
    assert.ok(program.endsWith(mcpServers[0]!.args.at(-1)!));
    const servers = [{ ...mcpServers[0]!, command: process.execPath, args: [program] }];
    const { logger } = keepingLogger();
    await using environments = new Environments({ ...multiTurn, user: null, servers }, logger);
    const { signal } = new AbortController();
    const tools = await environments.tools(signal);
    assert.deepEqual(
      tools.map((tool) => tool.function.name),
      mcpServers[0]!.allowedTools,
    );
    const [, call] =
      /`(<tool_call>\{"name": "look_up".*<\/tool_call>)`/.exec(
        pageText('examples/own-environment.md'),
      ) ?? [];
    const start = { prompt: '', images: [], groundTruth: '', columns: {}, seed: 1 };
    const { messages, done } = await environments.answer(environments.begin(start), call!, signal);
    assert.match(JSON.stringify(messages), /fluid between lung and chest wall/);
    assert.equal(done, false);
  });
});
