import assert from 'node:assert/strict';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { AnswerCache } from '../../../src/reward/judge/answer-cache.ts';
import { ChatClient, type ChatClientOptions } from '../../../src/reward/judge/chat-client.ts';
import { Judge, usualPattern, type JudgeOptions } from '../../../src/reward/judge/judge.ts';
import { JudgeServer } from '../../support/judge-server.ts';
import { rewardInput } from '../../support/reward-input.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const never = new AbortController().signal;

const usual: JudgeOptions = {
  model: 'judge-1',
  systemPrompt: null,
  template: '{{ response }}',
  scorePattern: usualPattern,
  maxScore: 10,
  temperature: 0,
  maxTokens: 64,
  onError: 'fail',
  errorValue: 0,
};

interface Setting {
  readonly options?: Partial<JudgeOptions>;
  readonly client?: Partial<ChatClientOptions>;
  readonly cache?: AnswerCache;
  readonly signal?: AbortSignal;
}

function judgeAt(
  { baseUrl }: Pick<JudgeServer, 'baseUrl'>,
  { options, client, cache }: Setting = {},
): Judge {
  const asker = new ChatClient({
    ...{ baseUrl, apiKey: null, timeoutMs: 30_000, maxRetries: 3, maxConcurrency: 4 },
    firstDelayMs: 1,
    ...client,
  });
  const prices = { inputCostPerToken: 0.5, outputCostPerToken: 2 };
  return new Judge({ ...usual, ...options }, { client: asker, cache: cache ?? null, ...prices });
}

const inputs = (...responses: readonly string[]) =>
  responses.map((response) => rewardInput({ response, responseLength: 1, groundTruth: 'B' }));

/** Rewards of responses, or why there is none, and what the judge took. */
async function judged(
  server: Pick<JudgeServer, 'baseUrl'>,
  responses: readonly string[],
  setting: Setting = {},
): Promise<{ rewards: unknown[]; counts: Record<string, number> }> {
  const judge = judgeAt(server, setting);
  const { outcomes, counts } = await judge.score(inputs(...responses), setting.signal ?? never);
  const rewards = outcomes.map((one) => ('parts' in one ? one.parts.overall : one.problem));
  return { rewards, counts };
}

describe('a judge', () => {
  it('asks about each response, and reads the last score of each answer as a share of the highest', async () => {
    await using server = await JudgeServer.open(({ asked }) =>
      asked === 'bad' ? 'A score: 9 would be too kind.\nScore: 2.5' : '{"score": 10}',
    );
    const { rewards, counts } = await judged(server, ['bad', 'good'], {
      options: { systemPrompt: 'Be strict.' },
      client: { apiKey: 'secret' },
    });
    assert.deepEqual(rewards, [0.25, 1]);
    assert.deepEqual(counts, {
      ...{ requests: 2, retries: 0, cached: 0, failed: 0 },
      ...{ prompt_tokens: 20, completion_tokens: 4, cost: 20 * 0.5 + 4 * 2 },
    });
    const [{ path, headers, request }] = server.calls as [(typeof server.calls)[number]];
    assert.equal(path, '/v1/chat/completions');
    assert.equal(headers.authorization, 'Bearer secret');
    assert.deepEqual(request, {
      model: 'judge-1',
      messages: [
        { role: 'system', content: 'Be strict.' },
        { role: 'user', content: 'bad' },
      ],
      temperature: 0,
      max_tokens: 64,
    });
  });

  it('writes the prompt by the template, over all that a reward sees', async () => {
    await using server = await JudgeServer.open(() => 'Score: 1');
    const template =
      '{{ prompt }}|{{ messages[0].content }}|{{ columns.grade }}|{{ ground_truth }}|{{ max_score }}';
    const judge = judgeAt(server, { options: { template } });
    const [input] = inputs('a');
    await judge.score([{ ...input!, columns: { grade: 3 } }], never);
    await judgeAt(server, { options: { template: null } }).score([input!], never);
    assert.equal(server.calls[0]!.asked, 'Why?|Why?|3|B|10');
    assert.match(
      server.calls[1]!.asked,
      /\[Reference answer\]\nB\n[^]*\[Response\]\na\n[^]*to 10 /,
    );
  });

  it('tries again after 429, 500, a stall, garbage, and a connection that closes', async () => {
    const faults = [
      { status: 429, headers: { 'retry-after': '0' } },
      { status: 500 },
      { fault: 'stall' },
      { status: 200, body: '<html>' },
      { status: 200, body: '{"choices": []}' },
      { fault: 'close' },
    ] as const;
    await using server = await JudgeServer.open((_, index) => faults[index] ?? 'Score: 5');
    const client = { maxRetries: faults.length, timeoutMs: 500 };
    const { rewards, counts } = await judged(server, ['a'], { client });
    assert.deepEqual(rewards, [0.5]);
    assert.equal(counts['retries'], faults.length);
    assert.equal(counts['requests'], 1);
  });

  for (const [name, fault, problem] of [
    ['429', { status: 429, body: 'slow down' }, /answered 429: slow down$/],
    ['500', { status: 500, body: 'oops' }, /answered 500: oops$/],
    ['stalls', { fault: 'stall' }, /^judge: no answer in 0\.2 s$/],
    ['garbage', { status: 200, body: '<html>' }, /the answer is no JSON: <html>$/],
    ['closed connections', { fault: 'close' }, /^judge: other side closed$|ECONNRESET/],
  ] as const) {
    it(`gives up after its retries over ${name}`, async () => {
      await using server = await JudgeServer.open(() => fault);
      const client = { maxRetries: 1, timeoutMs: name === 'stalls' ? 200 : 30_000 };
      const { rewards, counts } = await judged(server, ['a'], { client });
      assert.match(rewards[0] as string, problem);
      assert.deepEqual([server.calls.length, counts['failed']], [2, 1]);
    });
  }

  it('waits as long as Retry-After says, in seconds or as a date', async () => {
    const past = new Date(Date.now() - 60_000).toUTCString();
    const waits = ['0', past];
    await using server = await JudgeServer.open((_, index) =>
      index < 2 ? { status: 503, headers: { 'retry-after': waits[index]! } } : 'Score: 5',
    );
    // Its own delay is longer than the test.
    const client = { firstDelayMs: 1e6 };
    assert.deepEqual((await judged(server, ['a'], { client })).rewards, [0.5]);
  });

  it('does not try again what cannot pass', async () => {
    await using server = await JudgeServer.open(() => ({ status: 400, body: 'too long' }));
    const { rewards } = await judged(server, ['a']);
    assert.match(rewards[0] as string, /answered 400: too long$/);
    assert.equal(server.calls.length, 1);
  });

  it('fails as a whole over a key that is refused, which it does not tell', async () => {
    await using server = await JudgeServer.open(({ headers }) => ({
      status: 401,
      body: `no such key: ${headers.authorization!}`,
    }));
    const client = { apiKey: 'sk-secret' };
    const options = { onError: 'value' } as const;
    await assert.rejects(judged(server, ['a', 'b'], { client, options }), {
      code: 'CONFIG_INVALID',
      message: /answered 401: no such key: Bearer \*\*\*$/,
    });
  });

  it('gives error_value where it has no score, if it is told to', async () => {
    await using server = await JudgeServer.open(({ asked }) =>
      asked === 'a' ? 'Fine.' : 'Score: 11',
    );
    assert.deepEqual((await judged(server, ['a', 'b'])).rewards, [
      'judge: no score in the answer: …Fine.',
      'judge: the score 11 is not in [0, 10]',
    ]);
    const options = { onError: 'value', errorValue: -1 } as const;
    const { rewards, counts } = await judged(server, ['a', 'b'], { options });
    assert.deepEqual(rewards, [-1, -1]);
    assert.equal(counts['failed'], 2);
  });

  it('has no more requests under way than it may', async () => {
    const waiting: (() => void)[] = [];
    await using server = await JudgeServer.open(async () => {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        // Answers begin once as many are waiting as may.
        if (waiting.length === 2) for (const answer of waiting.splice(0)) answer();
      });
      return 'Score: 5';
    });
    const texts = ['a', 'b', 'c', 'd', 'e', 'f'];
    const { rewards } = await judged(server, texts, { client: { maxConcurrency: 2 } });
    assert.equal(rewards.length, 6);
    assert.equal(server.most, 2);
  });

  it('ends at once when it is aborted, requests that wait their turn too', async () => {
    const abort = new AbortController();
    await using server = await JudgeServer.open(() => {
      abort.abort(new Error('stopped'));
      return { fault: 'stall' };
    });
    const setting = { client: { maxConcurrency: 1 }, signal: abort.signal };
    await assert.rejects(judged(server, ['a', 'b'], setting), { message: 'stopped' });
    assert.equal(server.calls.length, 1);
  });
});

describe('the cache of a judge', () => {
  it('asks once about one text, in a batch and after it', async () => {
    await using server = await JudgeServer.open(() => 'Score: 5');
    const cache = await AnswerCache.open(10, null);
    const first = await judged(server, ['a', 'a', 'b'], { cache });
    const second = await judged(server, ['b', 'c'], { cache });
    assert.deepEqual([...first.rewards, ...second.rewards], [0.5, 0.5, 0.5, 0.5, 0.5]);
    assert.deepEqual([first.counts['requests'], first.counts['cached']], [2, 1]);
    assert.deepEqual([second.counts['requests'], second.counts['cached']], [1, 1]);
    assert.equal(second.counts['prompt_tokens'], 10);
    // Another judge, or the same in another mood, is asked anew.
    await judged(server, ['a'], { cache, options: { model: 'judge-2' } });
    await judged(server, ['a'], { cache, options: { temperature: 1 } });
    assert.equal(server.calls.length, 5);
  });

  it('keeps no answer without a score', async () => {
    await using server = await JudgeServer.open((_, index) => (index === 0 ? 'Hm.' : 'Score: 5'));
    const cache = await AnswerCache.open(10, null);
    await judged(server, ['a'], { cache });
    assert.deepEqual((await judged(server, ['a'], { cache })).rewards, [0.5]);
  });

  it('is not used where what it keeps has no score', async () => {
    await using server = await JudgeServer.open(() => 'Score: 5, grade: 2');
    const cache = await AnswerCache.open(10, null);
    await judged(server, ['a'], { cache });
    const options = { scorePattern: 'points: (\\d+)', onError: 'value' } as const;
    assert.equal((await judged(server, ['a'], { cache, options })).counts['requests'], 1);
    const graded = await judged(server, ['a'], { cache, options: { maxScore: 4 } });
    assert.equal(graded.counts['requests'], 1);
  });

  it('is asked for one address, whatever the model is called', async () => {
    await using one = await JudgeServer.open(() => 'Score: 5');
    await using other = await JudgeServer.open(() => 'Score: 10');
    const cache = await AnswerCache.open(10, null);
    await judged(one, ['a'], { cache });
    assert.deepEqual((await judged(other, ['a'], { cache })).rewards, [1]);
  });

  it('loses no grade where its file cannot be written, and says so once', async () => {
    await using server = await JudgeServer.open(() => 'Score: 5');
    using folder = new TemporaryDirectory();
    const path = join(folder.path, 'judge', 'answers.jsonl');
    const warnings: string[] = [];
    const cache = await AnswerCache.open(10, path, (line) => warnings.push(line));
    rmSync(join(folder.path, 'judge'), { recursive: true });
    assert.deepEqual((await judged(server, ['a', 'b'], { cache })).rewards, [0.5, 0.5]);
    assert.equal((await judged(server, ['a'], { cache })).counts['cached'], 1);
    assert.match(warnings.join('\n'), /^judge: cache_path .*: answers are not written: ENOENT.*$/);
  });

  it('is bounded, and keeps those used last', async () => {
    const cache = await AnswerCache.open(2, null);
    await cache.set('a', '1');
    await cache.set('b', '2');
    cache.get('a');
    await cache.set('c', '3');
    assert.deepEqual(
      ['a', 'b', 'c'].map((key) => cache.get(key)),
      ['1', undefined, '3'],
    );
  });

  it('lasts in a file, past lines that are cut off, and is written anew when it has grown', async () => {
    using folder = new TemporaryDirectory();
    const path = join(folder.path, 'judge', 'answers.jsonl');
    const before = await AnswerCache.open(2, path);
    for (let i = 0; i < 5; i++) await before.set(`k${i}`, `text ${i}\n`);
    const lines = (): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1);
    assert.equal(lines().length, 5);
    folder.write('judge/answers.jsonl', `${lines().join('\n')}\n{"key": "k5", "con`);
    const after = await AnswerCache.open(2, path);
    assert.deepEqual(
      ['k2', 'k3', 'k4', 'k5'].map((key) => after.get(key)),
      [undefined, 'text 3\n', 'text 4\n', undefined],
    );
    assert.equal(lines().length, 2);
    await after.set('k6', 'x');
    assert.equal((await AnswerCache.open(9, path)).get('k6'), 'x');
  });
});
