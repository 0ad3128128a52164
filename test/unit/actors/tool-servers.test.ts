import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { Environments, type UserSettings } from '../../../actors/environment/environments.ts';
import type { McpServer } from '../../../src/config/multi-turn-schema.ts';
import { effectOf } from '../../support/effect.ts';
import { keepingLogger } from '../../support/tiny-run.ts';
import { toolsServer } from '../../support/tools-server.ts';

const { signal } = new AbortController();
const { logger } = keepingLogger();
const process = {
  ...{ name: 'tools', url: null, headers: {}, allowedTools: null, timeoutSeconds: 20 },
  ...{ command: globalThis.process.execPath, args: ['test/support/tools-server.ts'], env: {} },
};

function environmentsOf(server: Partial<McpServer> = {}, user: UserSettings | null = null) {
  const limits = { maxParallelCalls: 3, maxToolResponseLength: 99 };
  const how = { format: 'hermes', toolResponseTruncateSide: 'left' } as const;
  return new Environments(
    { user, servers: [{ ...process, ...server }], ...limits, ...how },
    logger,
  );
}

const start = { prompt: 'a', images: [], groundTruth: '', columns: {}, seed: 1 };
const call = (name: string, given: object = {}): string =>
  `<tool_call>${JSON.stringify({ name, arguments: given })}</tool_call>`;

describe('servers of tools', () => {
  effectOf(
    'worker.rollout.mcp_servers',
    'worker.rollout.mcp_servers[].name',
    'worker.rollout.mcp_servers[].command',
    'worker.rollout.mcp_servers[].args',
    'worker.rollout.mcp_servers[].allowed_tools',
  );
  it('answer the policy, until it calls nothing', async () => {
    await using environments = environmentsOf({ allowedTools: ['add', 'roll', 'paint', 'fail'] });
    const tools = await environments.tools(signal);
    assert.deepEqual(tools[0], {
      type: 'function',
      function: { name: 'add', description: 'Tool add.', parameters: { type: 'object' } },
    });
    assert.equal(tools.length, 4);
    const conversation = environments.begin(start);
    const said = async (...texts: string[]): Promise<unknown[]> => {
      const { messages } = await environments.answer(conversation, texts.join(' '), signal);
      return messages.map(({ content }) =>
        typeof content === 'string'
          ? content
          : content.map((part) => (part.type === 'text' ? part.text : part.image.length)).join(),
      );
    };
    const sum = call('add', { a: 1, b: 2 });
    const [first] = await said(sum);
    assert.deepEqual(
      [first, await said(sum, call('roll'))],
      ['3 in call 1', ['3 in call 1', 'call 2']],
    );
    assert.deepEqual(await said(call('roll'), call('fail'), call('paint')), [
      'call 3',
      'no such page',
      '70',
    ]);
    assert.deepEqual(await said(call('exit'), '<tool_call>x</tool_call>'), [
      'there is no tool exit, only add, roll, paint, fail',
      'the call is not JSON',
    ]);
    const end = await environments.answer(conversation, 'It is 3.', signal);
    assert.deepEqual(end, { messages: [], done: true });
  });

  effectOf('worker.rollout.mcp_servers[].timeout_seconds');
  it('cost the episodes alone that they do not answer, and are started again', async () => {
    await using environments = environmentsOf({ timeoutSeconds: 3 });
    await environments.tools(signal);
    const conversation = environments.begin(start);
    const answer = (text: string) => environments.answer(conversation, text, signal);
    await assert.rejects(answer(call('exit')), {
      code: 'ENVIRONMENT_INVALID',
      message: /^worker\.rollout\.mcp_servers: tools: exit: .*Connection closed/,
    });
    const [hung, rolled] = await Promise.allSettled([answer(call('hang')), answer(call('roll'))]);
    assert.match(String((hung as PromiseRejectedResult).reason), /tools: hang: .*timed out/);
    assert.equal(rolled.status, 'fulfilled');
    assert.equal((await answer(call('paint'))).done, false);
  });

  it('stand beside an environment, which hears of their answers', async () => {
    const source = { file: 'test/support/counting-environment.ts', name: 'listening' };
    const user = { source, kwargs: {}, python: '', workers: 1, limitMs: 20_000 };
    await using environments = environmentsOf({ allowedTools: ['roll'] }, user);
    await environments.tools(signal);
    const conversation = environments.begin(start);
    const answer = (text: string) => environments.answer(conversation, text, signal);
    assert.deepEqual((await answer(call('roll'))).messages.length, 1);
    const { messages } = await answer(`${call('roll')} ${call('look')}`);
    assert.deepEqual(
      messages.map(({ role }) => role),
      ['tool', 'user'],
    );
    assert.equal(messages[1]!.content, 'assistant tool tool assistant');
  });

  effectOf(
    'worker.rollout.mcp_servers[].url',
    'worker.rollout.mcp_servers[].headers',
    'worker.rollout.mcp_servers[].env',
  );
  it('are reached over HTTP with their headers, and say what is missing', async () => {
    const tokens: unknown[] = [];
    const http = createServer((request, response) => {
      tokens.push(request.headers['x-token']);
      void (async () => {
        const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true });
        await toolsServer().connect(transport);
        await transport.handleRequest(request, response);
      })();
    });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    const { port } = http.address() as AddressInfo;
    const remote = { command: null, url: `http://127.0.0.1:${port}/`, headers: { 'x-token': 't' } };
    {
      await using environments = environmentsOf({ ...remote, allowedTools: ['roll'] });
      assert.equal((await environments.tools(signal)).length, 1);
      assert.ok(tokens.length > 0 && tokens.every((token) => token === 't'));
      await using wrong = environmentsOf({ ...remote, allowedTools: ['rol'] });
      await assert.rejects(wrong.tools(signal), { message: /tools: no tool 'rol', only add, / });
    }
    http.closeAllConnections();
    await new Promise((resolve) => http.close(resolve));
    const env = { NODE_OPTIONS: '--no-such-option' };
    await using broken = environmentsOf({ env });
    await assert.rejects(broken.tools(signal), { code: 'ENVIRONMENT_INVALID' });
  });
});
