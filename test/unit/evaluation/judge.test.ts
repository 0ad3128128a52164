import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Judge, judgeAddress } from '../../../src/evaluation/judge.ts';

/** Asks a judge whose server answers so; gives the verdicts and what the server was asked. */
async function judged(
  replies: readonly (string | number)[],
  ask: (judge: Judge) => Promise<void>,
): Promise<{ url: string; key: unknown; body: Record<string, unknown> }[]> {
  const asked: { url: string; key: unknown; body: Record<string, unknown> }[] = [];
  const server = createServer((request, response) => {
    void request.toArray().then((chunks: Buffer[]) => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>;
      asked.push({ url: request.url!, key: request.headers['api-key'], body });
      const reply = replies[asked.length - 1]!;
      response.statusCode = typeof reply === 'number' ? reply : 200;
      response.setHeader('connection', 'close');
      response.end(JSON.stringify({ choices: [{ message: { content: String(reply) } }] }));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await ask(
    new Judge({
      endpoint: `http://127.0.0.1:${port}/`,
      apiKey: 'secret',
      apiVersion: '2024-06-01',
    }),
  );
  server.close();
  await once(server, 'close');
  return asked;
}

describe('Judge', () => {
  it('asks gpt-4o as Azure OpenAI is asked, and reads its JSON, fenced or not', async () => {
    const asked = await judged(
      ['{"correct": 1, "jaccard": 0.9}', '```json\n{"correct": 0, "jaccard": 0.25}\n```'],
      async (judge) => {
        assert.deepEqual(await judge.verdict('edema', 'oedema'), { correct: 1, jaccard: 0.9 });
        assert.deepEqual(await judge.verdict('nodule', 'mass'), { correct: 0, jaccard: 0.25 });
        assert.deepEqual(judge.failures, { count: 0, first: null });
      },
    );
    const [{ url, key, body } = { url: '', key: '', body: {} }] = asked;
    assert.equal(url, '/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01');
    assert.equal(key, 'secret');
    assert.equal(body['model'], 'gpt-4o');
    assert.equal(body['temperature'], 1);
    const [, user] = body['messages'] as { role: string; content: string }[];
    assert.match(user!.content, /oedema/);
  });

  it('counts a missing Jaccard index by itself', async () => {
    await judged(['{"correct": 1}'], async (judge) => {
      assert.deepEqual(await judge.verdict('a b', 'a b c'), { correct: 1, jaccard: 2 / 3 });
    });
  });

  it('takes what Python makes a number of', async () => {
    // Of int(reply.get("correct", 0)) and float(reply.get("jaccard", words)), the words having 0.75 in common.
    const replies = [
      ['{"correct": "1", "jaccard": "0.5"}', 1, 0.5],
      ['{"correct": true, "jaccard": false}', 1, 0],
      ['{"correct": " 1\\n", "jaccard": " 1e-1 "}', 1, 0.1],
      ['{"correct": 0.9, "jaccard": 1}', 0, 1],
      ['{"correct": 1.0}', 1, 0.75],
      ['{"jaccard": ".5"}', 0, 0.5],
      ['{}', 0, 0.75],
      ['\u0085```{"correct":```json 1}\n```\u001f', 1, 0.75],
    ] as const;
    await judged(
      replies.map(([reply]) => reply),
      async (judge) => {
        for (const [reply, correct, jaccard] of replies) {
          assert.deepEqual(await judge.verdict('a b c', 'a b c d'), { correct, jaccard }, reply);
        }
        assert.equal(judge.failures.count, 0);
      },
    );
  });

  it('goes by the words when the judge fails or talks, and says so', async () => {
    const unreadable = [
      ...['They are the same.', '{"correct": "yes"}', '{"correct": "1.0"}', '{"correct": null}'],
      ...['[1]', '1', 'null', '{"correct": 7}', '{"correct": 1, "jaccard": null}'],
      '{"correct": 1, "jaccard": "nan"}',
    ];
    await judged([500, ...unreadable], async (judge) => {
      for (let i = 0; i <= unreadable.length; i++) {
        assert.deepEqual(await judge.verdict('a b c', 'a b c d'), { correct: 1, jaccard: 0.75 });
      }
      assert.deepEqual(judge.failures, { count: 11, first: 'the judge answered 500' });
    });
  });

  it('is asked about a blank answer, but not about an empty one or a blank reference', async () => {
    const asked = await judged(['{"correct": 1, "jaccard": 1}'], async (judge) => {
      assert.deepEqual(await judge.verdict(' ', 'edema'), { correct: 1, jaccard: 1 });
      assert.deepEqual(await judge.verdict('', 'edema'), { correct: 0, jaccard: 0 });
      assert.deepEqual(await judge.verdict('edema', '\x1f'), { correct: 0, jaccard: 0 });
    });
    assert.equal(asked.length, 1);
  });

  it('is named by three variables, all of which must be set', () => {
    const environment = { AZURE_OPENAI_ENDPOINT: 'https://x', AZURE_OPENAI_API_KEY: '' };
    assert.throws(() => judgeAddress(environment), {
      code: 'CONFIG_INVALID',
      message: '--judge: AZURE_OPENAI_API_KEY, AZURE_OPENAI_API_VERSION not set',
    });
  });
});
