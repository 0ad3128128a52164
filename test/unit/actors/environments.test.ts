import assert from 'node:assert/strict';
import { Environments, type UserSettings } from '../../../actors/environment/environments.ts';
import { blockOf } from '../../support/pages.ts';
import { pythonInterpreter } from '../../support/python.ts';
import { keepingLogger } from '../../support/tiny-run.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const { signal } = new AbortController();
const { logger } = keepingLogger();

const python = pythonInterpreter() ?? '';

const limits = {
  maxParallelCalls: 2,
  maxToolResponseLength: 40,
  format: 'hermes',
  toolResponseTruncateSide: 'left',
} as const;

function environmentsOf(
  kwargs: Record<string, unknown> = {},
  other: Partial<UserSettings> = {},
): Environments {
  const source = { file: 'test/support/counting-environment.ts', name: 'counting' };
  const user = { source, kwargs, python, workers: 1, limitMs: 20_000, ...other };
  return new Environments({ user, servers: [], ...limits }, logger);
}

const COUNTING = `
import os

class Counting:
    tools = [{"type": "function", "function": {"name": "count"}}]

    def __init__(self, word):
        self.word, self.turns = word, 0

    def reset(self, episode):
        self.prompt, self.images = episode["prompt"], episode["images"]
        assert episode["ground_truth"] == "" and episode["columns"] == {} and episode["seed"] == 1

    def step(self, messages):
        self.turns += 1
        if self.prompt == "bad" and self.turns == 2:
            os._exit(3)
        if self.prompt == "odd":
            return "a text"
        names = ",".join(call["name"] for message in messages for call in message["tool_calls"])
        parts = [{"type": "text", "text": "%s %d of %s: %s" % (self.word, self.turns, self.prompt, names)}]
        if self.turns == 1:
            parts += [{"type": "image", "image": image[::-1]} for image in self.images]
        return [{"role": "tool", "content": parts}], self.turns == 3
`;

const episode = (prompt: string) => ({ prompt, images: [], groundTruth: '', columns: {}, seed: 1 });
const call = (name: string): string =>
  `<tool_call>{"name": "${name}", "arguments": {}}</tool_call>`;

describe("a user's environment", () => {
  it('names its tools, and answers each episode by its own turns', async () => {
    await using environments = environmentsOf();
    assert.deepEqual(
      (await environments.tools(signal)).map((tool) => tool.function.name),
      ['count'],
    );
    const [a, b] = [environments.begin(episode('a')), environments.begin(episode('b'))];
    const said = async (conversation: typeof a, text: string): Promise<unknown> => {
      const { messages, done } = await environments.answer(conversation, text, signal);
      return done ? 'done' : messages[0]!.content;
    };
    assert.equal(await said(a, call('x')), 'turn 1 of a: x');
    assert.equal(await said(a, `${call('x')}${call('y')}${call('z')}`), 'turn 2 of a: x,y');
    assert.equal(await said(b, 'no call'), 'turn 1 of b: ');
    assert.equal(await said(a, ''), 'done');
  });

  for (const [fault, why] of [
    ['throw', /^a fault$/],
    ['exit', /its thread ended: exited with code 3/],
    ['hang', /no answer in \d+ ms/],
  ] as const) {
    it(`costs its own episode alone where a step does not return: ${fault}`, async () => {
      await using environments = environmentsOf(
        { fault, end: 9 },
        { limitMs: fault === 'hang' ? 2_000 : 20_000 },
      );
      await environments.tools(signal);
      const good = environments.begin(episode('good'));
      const bad = environments.begin(episode('bad'));
      const count = async (conversation: typeof good): Promise<unknown> =>
        (await environments.answer(conversation, '', signal)).messages[0]!.content;
      assert.equal(await count(good), 'turn 1 of good: ');
      assert.equal(await count(bad), 'turn 1 of bad: ');
      await assert.rejects(count(bad), { message: why });
      assert.equal(await count(good), 'turn 2 of good: ');
    });
  }

  it('may be written in Python, in a process that is started again where it was lost', async function () {
    if (python === '') this.skip();
    using folder = new TemporaryDirectory();
    const file = folder.write('counting.py', COUNTING);
    const source = { file, name: 'Counting' };
    await using environments = environmentsOf({ word: 'turn' }, { source });
    assert.deepEqual(
      (await environments.tools(signal)).map((tool) => tool.function.name),
      ['count'],
    );
    const good = environments.begin({ ...episode('good'), images: [Uint8Array.of(1, 2)] });
    const bad = environments.begin(episode('bad'));
    const said = async (conversation: typeof good, text: string): Promise<unknown> => {
      const { messages, done } = await environments.answer(conversation, text, signal);
      return done ? 'done' : messages[0]!.content;
    };
    const [told, shown] = (await said(good, call('x'))) as [object, { image: Uint8Array }];
    assert.deepEqual(told, { type: 'text', text: 'turn 1 of good: x' });
    assert.deepEqual([...shown.image], [2, 1]);
    await said(bad, '');
    await assert.rejects(said(bad, ''), { message: /its process ended with code 3/ });
    assert.deepEqual(await said(good, ''), [{ type: 'text', text: 'turn 2 of good: ' }]);
    const odd = environments.begin(episode('odd'));
    await assert.rejects(said(odd, ''), {
      code: 'ENVIRONMENT_INVALID',
      message: /raised\n.*step: expected \(messages, done\), got a str/s,
    });
    assert.equal(await said(good, ''), 'done');
  });

  it('is told that it does not load in Python', async function () {
    if (python === '') this.skip();
    using folder = new TemporaryDirectory();
    const source = { file: folder.write('broken.py', 'import nothing_of_that_name'), name: 'Dice' };
    await using environments = environmentsOf({}, { source });
    await assert.rejects(environments.tools(signal), {
      code: 'ENVIRONMENT_INVALID',
      message: /^environment: .*broken\.py:Dice does not load: raised\n[^]*nothing_of_that_name/,
    });
  });

  it('runs as its guide has it in Python', async function () {
    if (python === '') this.skip();
    using folder = new TemporaryDirectory();
    const file = folder.write(
      'dice.py',
      blockOf('examples/own-environment.md', 'python', 'In Python'),
    );
    await using environments = environmentsOf({ sides: 1 }, { source: { file, name: 'Dice' } });
    const conversation = environments.begin(episode('a'));
    const { messages } = await environments.answer(conversation, call('roll'), signal);
    assert.deepEqual(messages, [{ role: 'tool', content: '1' }]);
    assert.equal((await environments.answer(conversation, 'One.', signal)).done, true);
  });

  it('is told what is wrong with a step, and with what loads it', async () => {
    using folder = new TemporaryDirectory();
    const file = folder.write(
      'wrong.ts',
      `const reset = () => undefined;
      export const idle = () => ({ reset, step: () => ({ messages: [], done: false }) });
      export const rude = () => ({ reset, step: () => ({ messages: [{ role: 'god', content: '' }], done: false }) });
      export const toolless = () => ({ reset, tools: [{ name: 'x' }], step: () => undefined });`,
    );
    const fails = async (name: string, message: RegExp): Promise<void> => {
      await using environments = environmentsOf({}, { source: { file, name } });
      const play = async (): Promise<void> => {
        await environments.tools(signal);
        await environments.answer(environments.begin(episode('a')), '', signal);
      };
      await assert.rejects(play, { code: 'ENVIRONMENT_INVALID', message });
    };
    await fails('idle', /neither a message nor the end/);
    await fails('rude', /step: messages\[0\]\.role: expected .*got "god"/);
    await fails('toolless', /tools: \[0\]/);
    await fails('idel', /exports no function 'idel', nearest is 'idle'/);
  });
});
