import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import OpenAI from 'openai';
import { goldenPath } from '../support/golden.ts';
import { cxmind, runJson, until, type JsonLine } from '../support/cxmind-process.ts';

describe('cxmind serve', () => {
  const serve = [
    ...['serve', '--model', goldenPath('micro-vl'), '--served-model-name', 'micro'],
    ...['--port', '0', '--max-model-len', '4096', '--threads', '1'],
  ];
  const clientOf = (baseURL: string): OpenAI =>
    new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });

  const ask = {
    model: 'micro',
    messages: [{ role: 'user' as const, content: 'Which finding?' }],
    stream: true as const,
  };

  it('tells its address, answers what is open at the first Ctrl-C, takes no more, and ends: with --json', async () => {
    const lines: JsonLine[] = [];
    const ended = runJson(serve, lines);
    await until(() => lines.length > 0);
    const url = String(lines[0]!['url']);
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+\/v1$/);
    const client = clientOf(url);
    const stream = await client.chat.completions.create({ ...ask, max_completion_tokens: 1500 });
    let reason: string | null = null;
    let chunks = 0;
    for await (const { choices } of stream) {
      if (++chunks === 3) process.emit('SIGINT', 'SIGINT');
      reason = choices[0]?.finish_reason ?? reason;
    }
    assert.ok(reason !== null, 'the open request has its end');
    assert.equal(await ended, 130);
    assert.deepEqual(
      lines.map(({ event }) => event),
      ['listening', 'warning', 'error'],
    );
    assert.equal(lines[2]!['code'], 'RUNTIME_CANCELLED');
    await assert.rejects(client.chat.completions.create(ask));
  });

  it('ends at the second Ctrl-C whatever is open', async () => {
    const server = cxmind(serve);
    await until(() => server.output.stdout.includes('\n') || server.child.exitCode !== null);
    const baseURL = /^micro at (\S+)$/m.exec(server.output.stdout)?.[1];
    assert.ok(baseURL, server.output.stderr);
    const client = clientOf(baseURL);
    // Tokens that would end it by chance are never sampled.
    const endless = { ...ask, max_completion_tokens: 4000, logit_bias: { 620: -100, 618: -100 } };
    const stream = await client.chat.completions.create(endless);
    const ends = assert.rejects(async () => {
      let chunks = 0;
      for await (const _ of stream) if (++chunks === 2) server.child.kill('SIGINT');
    });
    await until(() => server.output.stderr.includes('once more'));
    // Within half a second it would count as an echo of the first.
    await delay(600);
    server.child.kill('SIGINT');
    assert.equal(await server.ended, 130);
    await ends;
  });
});
