import assert from 'node:assert/strict';
import { join } from 'node:path';
import { openJudge, type Judge } from '../../../src/evaluation/judge.ts';
import type { Verdict } from '../../../src/evaluation/score.ts';
import { JudgeSettings } from '../../../src/config/judge-schema.ts';
import { isRight } from 'fp-ts/lib/Either.js';
import { JudgeServer, type JudgeCall } from '../../support/judge-server.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const { signal } = new AbortController();

/** The verdict on one answer. */
async function verdictOf(judge: Judge, prediction: string, gold: string): Promise<Verdict> {
  const [verdict] = await judge.verdicts([{ prediction, gold }], signal);
  return verdict!;
}

/** Asks the script's judge, whose server answers so, a text or a status; gives what it was asked. */
async function judged(
  replies: readonly (string | number)[],
  ask: (judge: Judge) => Promise<void>,
): Promise<readonly JudgeCall[]> {
  using folder = new TemporaryDirectory();
  await using server = await JudgeServer.open((_, index) => {
    const reply = replies[index]!;
    return typeof reply === 'number' ? { status: reply } : reply;
  });
  const environment = {
    AZURE_OPENAI_ENDPOINT: `${new URL(server.baseUrl).origin}/`,
    AZURE_OPENAI_API_KEY: 'secret',
    AZURE_OPENAI_API_VERSION: '2024-06-01',
  };
  const cachePath = join(folder.path, 'judge.jsonl');
  await ask(await openJudge(undefined, { environment, cachePath, warn: () => undefined }));
  return server.calls;
}

describe('Judge', () => {
  it('asks gpt-4o as Azure OpenAI is asked, and reads its JSON, fenced or not', async () => {
    const asked = await judged(
      ['{"correct": 1, "jaccard": 0.9}', '```json\n{"correct": 0, "jaccard": 0.25}\n```'],
      async (judge) => {
        assert.deepEqual(await verdictOf(judge, 'edema', 'oedema'), { correct: 1, jaccard: 0.9 });
        assert.deepEqual(await verdictOf(judge, 'nodule', 'mass'), { correct: 0, jaccard: 0.25 });
        assert.deepEqual(judge.failures, { count: 0, first: null });
      },
    );
    const [{ path, headers, request }] = asked as [JudgeCall];
    assert.equal(path, '/openai/deployments/gpt-4o/chat/completions?api-version=2024-06-01');
    assert.deepEqual([headers['api-key'], headers.authorization], ['secret', undefined]);
    assert.deepEqual([request.model, request.temperature], ['gpt-4o', 1]);
    assert.match(request.messages[1]!.content, /oedema/);
  });

  it('counts a missing Jaccard index by itself', async () => {
    await judged(['{"correct": 1}'], async (judge) => {
      assert.deepEqual(await verdictOf(judge, 'a b', 'a b c'), { correct: 1, jaccard: 2 / 3 });
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
        for (const [i, [reply, correct, jaccard]] of replies.entries()) {
          const verdict = await verdictOf(judge, `a b c${i}`, `a b c${i} d`);
          assert.deepEqual(verdict, { correct, jaccard }, reply);
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
    await judged([401, ...unreadable], async (judge) => {
      for (let i = 0; i <= unreadable.length; i++) {
        assert.deepEqual(await verdictOf(judge, 'a b c', 'a b c d'), { correct: 1, jaccard: 0.75 });
      }
      assert.equal(judge.failures.count, 11);
      assert.match(judge.failures.first!, /answered 401: $/);
      assert.deepEqual([judge.counts.requests, judge.counts.cached], [11, 0]);
    });
  });

  it('is asked about a blank answer, but not about an empty one or a blank reference', async () => {
    const asked = await judged(['{"correct": 1, "jaccard": 1}'], async (judge) => {
      assert.deepEqual(await verdictOf(judge, ' ', 'edema'), { correct: 1, jaccard: 1 });
      assert.deepEqual(await verdictOf(judge, '', 'edema'), { correct: 0, jaccard: 0 });
      assert.deepEqual(await verdictOf(judge, 'edema', '\x1f'), { correct: 0, jaccard: 0 });
    });
    assert.equal(asked.length, 1);
  });

  it('asks once about one answer, again after a failure that may pass, and never again by its file', async () => {
    using folder = new TemporaryDirectory();
    await using server = await JudgeServer.open((_, index) =>
      index === 0
        ? { status: 503, headers: { 'retry-after': '0' } }
        : '{"correct": 1, "jaccard": 0.5}',
    );
    const settings = { base_url: server.baseUrl, model: 'judge-1', api_key_env: 'CXMIND_TEST_KEY' };
    const decoded = JudgeSettings.decode(settings);
    assert.ok(isRight(decoded));
    const options = {
      environment: { CXMIND_TEST_KEY: 'a key' },
      cachePath: join(folder.path, 'judge.jsonl'),
      warn: () => undefined,
    };
    const answer = { prediction: 'edema', gold: 'oedema' };
    for (const requests of [1, 0]) {
      const judge = await openJudge({ name: 'judge', judge: decoded.right }, options);
      const verdicts = await judge.verdicts([answer, answer], signal);
      assert.deepEqual(
        verdicts,
        [1, 1].map((correct) => ({ correct, jaccard: 0.5 })),
      );
      assert.deepEqual(
        [judge.counts.requests, judge.counts.cached, judge.counts.retries],
        [requests, 2 - requests, requests],
      );
    }
    const [, { headers, request }] = server.calls as [JudgeCall, JudgeCall];
    assert.equal(headers.authorization, 'Bearer a key');
    assert.deepEqual([request.model, request.temperature], ['judge-1', 0]);
  });

  it('is the one of the rewards, or named by three variables, all of which must be set', async () => {
    const environment = { AZURE_OPENAI_ENDPOINT: 'https://x', AZURE_OPENAI_API_KEY: '' };
    const options = { environment, cachePath: 'judge.jsonl', warn: () => undefined };
    await assert.rejects(openJudge(undefined, options), {
      code: 'CONFIG_INVALID',
      message:
        '--judge: AZURE_OPENAI_API_KEY, AZURE_OPENAI_API_VERSION not set, and worker.reward.reward_functions has no judge',
    });
  });
});
