import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { Environments, type UserSettings } from '../../../actors/environment/environments.ts';
import type { McpServer } from '../../../src/config/multi-turn-schema.ts';
import { KeptResults } from '../../../actors/environment/kept-results.ts';
import { ToolServer } from '../../../actors/environment/tool-server.ts';
import { effectOf } from '../../support/effect.ts';
import { isRunning } from '../../support/process-end.ts';
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
    await using http = await httpServer((request, response) => void answerTools(request, response));
    const remote = { command: null, url: http.url, allowedTools: ['roll'] };
    await using environments = environmentsOf(remote, user);
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
    await using http = await httpServer((request, response) => {
      tokens.push(request.headers['x-token']);
      void answerTools(request, response);
    });
    const remote = { command: null, url: http.url, headers: { 'x-token': 't' } };
    await using environments = environmentsOf({ ...remote, allowedTools: ['roll'] });
    assert.equal((await environments.tools(signal)).length, 1);
    assert.ok(tokens.length > 0 && tokens.every((token) => token === 't'));
    await using wrong = environmentsOf({ ...remote, allowedTools: ['rol'] });
    await assert.rejects(wrong.tools(signal), { message: /tools: no tool 'rol', only add, / });
    const env = { NODE_OPTIONS: '--no-such-option' };
    await using broken = environmentsOf({ env });
    await assert.rejects(broken.tools(signal), { code: 'ENVIRONMENT_INVALID' });
  });

  it('are connected again after a failure and after they forgot the session', async () => {
    const sessions: Sessions = new Map();
    let isDown = true;
    await using http = await httpServer((request, response) => {
      const id = sessionOf(request);
      if (isDown || (id !== undefined && !sessions.has(id))) {
        response.writeHead(isDown ? 503 : 404).end();
        return;
      }
      void answerIn(sessions, request, response);
    });
    await using environments = environmentsOf({ command: null, url: http.url });
    await assert.rejects(environments.tools(signal), { code: 'ENVIRONMENT_INVALID' });
    isDown = false;
    const conversation = environments.begin(start);
    const roll = () => environments.answer(conversation, call('roll'), signal);
    assert.equal((await roll()).messages.length, 1);
    sessions.clear();
    await assert.rejects(roll(), { message: /tools: roll: .*Error POSTing/ });
    assert.equal((await roll()).messages.length, 1);
    assert.equal(sessions.size, 1);
  });

  it('are left when calls under way are answered, and are told of the end', async () => {
    const sessions: Sessions = new Map();
    const ended: unknown[] = [];
    const held = Promise.withResolvers<undefined>();
    await using http = await httpServer((request, response) => {
      if (request.method === 'DELETE') ended.push(sessionOf(request));
      void (async () => {
        const body = (await request.toArray()).join('');
        if (body.includes('"roll"')) {
          response.writeHead(503).end();
          return;
        }
        // The other call is answered when the session has been left.
        if (body.includes('"paint"')) await held.promise;
        await answerIn(sessions, request, response, body === '' ? undefined : JSON.parse(body));
      })();
    });
    const server = { ...process, command: null, url: http.url };
    await using tools = new ToolServer(server, logger, 20_000);
    const asked = (name: string) => tools.call({ name, arguments: {} }, signal);
    await tools.tools();
    const painted = asked('paint');
    await assert.rejects(asked('roll'), { message: /tools: roll: .*Error POSTing/ });
    assert.deepEqual(ended, []);
    held.resolve(undefined);
    assert.equal(((await painted).content as unknown[]).length, 1);
    await asked('fail');
    await tools[Symbol.asyncDispose]();
    assert.deepEqual(ended.toSorted(), [...sessions.keys()].toSorted());
    assert.equal(sessions.size, 2);
  });

  it('are left in the end, whatever they do', async () => {
    let isHanging = false;
    await using http = await httpServer((request, response) => {
      if (!isHanging) void answerTools(request, response);
    });
    const server = { ...process, command: null, url: http.url };
    const tools = new ToolServer(server, logger, 1);
    await tools.tools();
    isHanging = true;
    const call = tools.call({ name: 'paint', arguments: {} }, signal);
    const failed = assert.rejects(call, { code: 'ENVIRONMENT_INVALID' });
    await tools[Symbol.asyncDispose]();
    await failed;
  });

  it('end with a connection that lists no tools', async () => {
    await using environments = environmentsOf({ env: { FAULT: 'list' } });
    const error = await environments.tools(signal).then(() => assert.fail(), String);
    const pid = Number(/process (\d+) lists nothing/.exec(error)?.[1]);
    assert.equal(isRunning(pid), false);
  });
});

describe('kept results', () => {
  it('are bounded by their bytes, and share a call under way', async () => {
    const kept = new KeptResults(1000);
    const asked: string[] = [];
    const of = (key: string, length: number) =>
      kept.of(key, () => {
        asked.push(key);
        return Promise.resolve({ role: 'tool', content: 'x'.repeat(length) });
      });
    await Promise.all([of('a', 200), of('a', 200)]);
    await of('b', 200);
    await of('a', 200);
    await of('c', 200); // 402 bytes each: the third takes the place of b
    await of('a', 200);
    await of('b', 200);
    assert.deepEqual(asked, ['a', 'b', 'c', 'b']);
    await of('d', 600);
    await of('d', 600);
    await of('b', 200);
    assert.deepEqual(asked.slice(4), ['d', 'd']);
    await assert.rejects(kept.of('e', () => Promise.reject(new Error('lost'))));
    assert.equal((await of('e', 1)).content, 'x');
  });
});

/** Answers a request by the tools of a server that remembers nothing. */
async function answerTools(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true });
  await toolsServer().connect(transport);
  await transport.handleRequest(request, response);
}

/** Sessions of a server of tools, by their ids. */
type Sessions = Map<string, StreamableHTTPServerTransport>;

function sessionOf(request: IncomingMessage): string | undefined {
  return request.headers['mcp-session-id'] as string | undefined;
}

/** Answers a request by the tools of its session, or of a new one. */
async function answerIn(
  sessions: Sessions,
  request: IncomingMessage,
  response: ServerResponse,
  body?: unknown,
): Promise<void> {
  const known = sessions.get(sessionOf(request) ?? '');
  const transport =
    known ??
    new StreamableHTTPServerTransport({
      enableJsonResponse: true,
      sessionIdGenerator: randomUUID,
      onsessioninitialized: (session) => void sessions.set(session, transport),
    });
  if (known === undefined) await toolsServer().connect(transport);
  await transport.handleRequest(request, response, body);
}

/** An HTTP server on this machine, until it is disposed. */
async function httpServer(
  listener: RequestListener,
): Promise<AsyncDisposable & { readonly url: string }> {
  const http = createServer(listener);
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  const { port } = http.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/`,
    [Symbol.asyncDispose]: async () => {
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  };
}
