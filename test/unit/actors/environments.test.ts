import assert from 'node:assert/strict';
import {
  Environments,
  type EnvironmentSettings,
} from '../../../actors/environment/environments.ts';
import { keepingLogger } from '../../support/tiny-run.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const { signal } = new AbortController();
const { logger } = keepingLogger();

function environmentsOf(
  kwargs: Record<string, unknown> = {},
  other: Partial<EnvironmentSettings> = {},
): Environments {
  const source = { file: 'test/support/counting-environment.ts', name: 'counting' };
  const limits = { maxParallelCalls: 2, maxToolResponseLength: 40, limitMs: 20_000, workers: 1 };
  const how = { format: 'hermes', toolResponseTruncateSide: 'left' } as const;
  return new Environments({ source, kwargs, ...limits, ...how, ...other }, logger);
}

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
      await using environments = environmentsOf({ fault, end: 9 }, { limitMs: 500 });
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
