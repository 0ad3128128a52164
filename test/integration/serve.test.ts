import assert from 'node:assert/strict';
import { setTimeout as delay } from 'node:timers/promises';
import OpenAI from 'openai';
import { goldenPath } from '../support/golden.ts';
import { cxmind, until, type Running } from '../support/cxmind-process.ts';

describe('cxmind serve', () => {
  let server: Running;
  afterEach(() => server.child.kill('SIGKILL'));

  async function start(): Promise<OpenAI> {
    const flags = ['--served-model-name', 'micro', '--port', '0', '--max-model-len', '4096'];
    server = cxmind(['serve', '--model', goldenPath('micro-vl'), ...flags, '--threads', '1']);
    await until(() => server.output.stdout.includes('\n') || server.child.exitCode !== null);
    const baseURL = /^micro at (\S+)$/m.exec(server.output.stdout)?.[1];
    assert.ok(baseURL, server.output.stderr);
    return new OpenAI({ baseURL, apiKey: 'none', maxRetries: 0 });
  }

  const ask = {
    model: 'micro',
    messages: [{ role: 'user' as const, content: 'Which finding?' }],
    stream: true as const,
  };

  it('answers what is open at the first Ctrl-C, takes no more, and ends', async () => {
    const client = await start();
    const stream = await client.chat.completions.create({ ...ask, max_completion_tokens: 1500 });
    let reason: string | null = null;
    let chunks = 0;
    for await (const { choices } of stream) {
      if (++chunks === 3) server.child.kill('SIGINT');
      reason = choices[0]?.finish_reason ?? reason;
    }
    assert.ok(reason !== null, 'the open request has its end');
    assert.equal(await server.ended, 130);
    await assert.rejects(client.chat.completions.create(ask));
  });

  it('ends at the second Ctrl-C whatever is open', async () => {
    const client = await start();
    // So many that some are open whenever others end by chance.
    const many = { ...ask, n: 32, max_completion_tokens: 4000 };
    const stream = await client.chat.completions.create(many);
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
