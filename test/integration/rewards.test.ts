import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { FileOptions } from '../../actors/reward/actor.ts';
import { rewardProtocol, type ScoreReply } from '../../actors/reward/protocol.ts';
import { rewardSpec } from '../../actors/reward/spec.ts';
import type { ActorRef } from '../../actors/runtime/ref.ts';
import { ActorSystem } from '../../actors/runtime/system.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import type { ContentPart } from '../../src/text/chat-template.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { effectOf } from '../support/effect.ts';
import { ended, isRunning } from '../support/process-end.ts';
import { LivingWorkers } from '../support/living-workers.ts';
import { JudgeServer } from '../support/judge-server.ts';
import { pythonInterpreter } from '../support/python.ts';
import { scoreRequest, shortContext } from '../support/reward-input.ts';
import { keepingLogger, metricsOf, trainTiny, tinySuite } from '../support/tiny-run.ts';

const soon = { timeoutMs: 60_000 };

/** Does with each response what it says. */
const pythonFile = `
import os, sys, time

def one(item, bonus=0.0):
    text = item["response"]
    print("scoring", text)
    if "hang" in text:
        time.sleep(600)
    if "die" in text:
        os._exit(3)
    if "raise" in text:
        raise ValueError("no such finding: " + text)
    if "nan" in text:
        return {"overall": float("nan")}
    if "list" in text:
        return [1]
    if "text" in text:
        return {"overall": "high"}
    return {"overall": len(text) + bonus, "right": item["ground_truth"] in text, "tokens": item["response_length"]}

def compute_score(items, bonus=0.0):
    return [one(item, bonus) for item in items]

def too_few(items):
    return compute_score(items)[1:]

def cpus(items):
    return [{"overall": int(os.environ["OMP_NUM_THREADS"]), "stdin": len(sys.stdin.read())} for _ in items]

def seen(items):
    return [
        {
            "overall": item["columns"]["grade"],
            "turns": len(item["messages"]),
            "asked": item["prompt"] == item["messages"][-1]["content"],
            "same": len(item["response_ids"]) == item["response_length"],
            "stopped": item["finish_reason"] == "stop",
        }
        for item in items
    ]

def chain(items):
    return [{"overall": -1, "base_reward": 0.25, "acc": 0.5, "reason": i / 2} for i, _ in enumerate(items)]
`;

const scriptFile = `
import { existsSync, writeFileSync } from 'node:fs';
export function compute(inputs) {
  return inputs.map(({ response }) => {
    if (response.includes('hang')) for (;;);
    if (response.includes('die')) process.exit(3);
    if (response.includes('raise')) throw new Error('no such finding');
    if (response.includes('nan')) return { overall: NaN };
    return { overall: response.length };
  });
}
export function seen(inputs, { file }) {
  writeFileSync(file, JSON.stringify(inputs));
  return inputs.map((_, i) => ({ overall: i % 3 }));
}
export async function meet(inputs, { folder, others }) {
  const own = inputs[0].response;
  writeFileSync(folder + '/' + own, '');
  while (!others.every((name) => existsSync(folder + '/' + name))) {
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return [{ overall: 1 }];
}
`;

const usual: Omit<FileOptions, 'python'> = {
  rewardType: 'batch',
  limitMs: 30_000,
  skipsInvalid: false,
  cpus: 1,
};

describe('reward functions of users', () => {
  const { demo, path, write } = tinySuite();
  let system: ActorSystem;
  let tokenizer: Tokenizer;
  let python: string;
  let script: string;
  let interpreter = 'python3';
  let count = 0;

  before(() => {
    tokenizer = Tokenizer.load(join(demo, 'model'));
    python = write('reward.py', pythonFile);
    script = write('reward.mjs', scriptFile);
  });
  // A thread for an actor would cost more than its work; what scores has its own process or thread beside it.
  beforeEach(() => (system = new ActorSystem({ localMode: true })));
  afterEach(() => system.shutdown());

  async function actorOf(
    rewardFunction: string,
    options: Partial<FileOptions> = {},
    more: { kwargs?: object; skipSpecialTokens?: boolean; system?: ActorSystem } = {},
  ): Promise<ActorRef<typeof rewardProtocol>> {
    const { kwargs = {}, skipSpecialTokens = true } = more;
    const props = {
      tokenizerPath: join(demo, 'model'),
      rewardFunction,
      kwargs: { ...kwargs },
      skipSpecialTokens,
      file: { ...usual, python: interpreter, ...options },
    };
    return (more.system ?? system).spawn({
      ...rewardSpec(props),
      name: `reward/${count++}`,
      graceMs: 2000,
    });
  }

  async function score(
    actor: ActorRef<typeof rewardProtocol>,
    ...texts: readonly string[]
  ): Promise<ScoreReply['scored']> {
    return (await actor.ask.score(scoreRequest(tokenizer, texts, 'ok'), soon)).scored;
  }

  const overall = (scored: ScoreReply['scored']): (number | undefined)[] =>
    scored.map(({ parts }) => parts?.['overall']);

  describe('in Python', () => {
    before(function () {
      const found = pythonInterpreter();
      if (found === null) this.skip();
      interpreter = found;
    });

    effectOf('worker.reward.reward_function', 'worker.reward.reward_function_kwargs');
    it('see the prompt, the conversation, the columns of the row, the tokens and how the response ended', async () => {
      const actor = await actorOf(`${python}:seen`);
      const context = { ...shortContext, columns: { grade: 0.5, picture: null } };
      const request = scoreRequest(tokenizer, ['a', 'bcd'], 'ok', context);
      const { scored } = await actor.ask.score(request, soon);
      const wanted = { overall: 0.5, turns: 1, asked: 1, same: 1, stopped: 1 };
      assert.deepEqual(
        scored.map(({ parts }) => parts),
        [wanted, wanted],
      );
    });

    it('score as they are, in batches, with kwargs, and may print', async () => {
      const actor = await actorOf(`${python}:compute_score`, {}, { kwargs: { bonus: 0.5 } });
      const scored = await score(actor, 'a ok', 'bcd');
      assert.deepEqual(
        scored.map(({ text, parts }) => [text, parts]),
        ['a ok', 'bcd'].map((text) => [
          text,
          {
            overall: text.length + 0.5,
            right: Number(text.includes('ok')),
            tokens: tokenizer.encode(text).length,
          },
        ]),
      );
    });

    effectOf('worker.reward.reward_type');
    it('are called as reward_type says, or their own REWARD_TYPE', async () => {
      const told = await actorOf(`${python}:one`, { rewardType: 'sequential' });
      assert.deepEqual(overall(await score(told, 'a', 'bc')), [1, 2]);
      const own = write('own.py', `REWARD_TYPE = "sequential"\n${pythonFile}`);
      const saying = await actorOf(`${own}:one`);
      assert.deepEqual(overall(await score(saying, 'a', 'bc')), [1, 2]);
    });

    effectOf('worker.reward.skip_special_tokens');
    it('see special tokens only where they are not skipped', async () => {
      const texts = await Promise.all(
        [true, false].map(async (skipSpecialTokens) => {
          const actor = await actorOf(`${python}:compute_score`, {}, { skipSpecialTokens });
          return (await score(actor, 'a<|im_end|>')).map(({ text }) => text);
        }),
      );
      assert.deepEqual(texts, [['a'], ['a<|im_end|>']]);
    });

    effectOf('worker.reward.num_cpus');
    it('get num_cpus as OMP_NUM_THREADS, and no standard input', async () => {
      const actor = await actorOf(`${python}:cpus`, { cpus: 3 });
      assert.deepEqual((await score(actor, 'a'))[0]!.parts, { overall: 3, stdin: 0 });
    });

    it('have the one response that is at fault skipped, the others scored', async () => {
      const actor = await actorOf(`${python}:compute_score`, { limitMs: 400, skipsInvalid: true });
      for (const [text, problem] of [
        ['raise', /^raised\nTraceback[^]*reward\.py", line \d+, in one\n[^]*ValueError: no such/],
        ['die', /^its process ended with code 3/],
        ['hang', /^took longer than 0\.4 s \(worker\.reward\.timeout_seconds\)$/],
        ['nan', /^'overall' is not a finite number but NaN$/],
        ['list', /^expected a dict of numbers, got a list$/],
        ['text', /^'overall' is not a number but a str$/],
      ] as const) {
        const scored = await score(actor, 'a', 'bc', `please ${text}`, 'def');
        assert.deepEqual(overall(scored), [1, 2, undefined, 3], text);
        assert.match(scored[2]!.problem!, problem);
      }
    });

    it('fail with row, file, function and traceback', async () => {
      const actor = await actorOf(`${python}:compute_score`);
      await assert.rejects(score(actor, 'a', 'raise'), {
        code: 'REWARD_INVALID',
        message:
          /reward\.py:compute_score: row 1: raised\nTraceback[^]*ValueError: no such finding/,
      });
      const few = await actorOf(`${python}:too_few`);
      await assert.rejects(
        score(few, 'a', 'b'),
        /too_few: a batch of 2 responses: expected a list of 2 dicts, got 1$/,
      );
    });

    effectOf('worker.reward.python');
    it('say in one sentence what keeps them from starting', async () => {
      const starting = (spec: string, other = interpreter): Promise<unknown> =>
        actorOf(spec, { python: other });
      await assert.rejects(
        starting(`${python}:one`, 'python-of-nobody'),
        /needs python-of-nobody, which does not start .*install Python 3.*worker\.reward\.python/,
      );
      await assert.rejects(starting(`${python}:nothing`), /has no function 'nothing'/);
      await assert.rejects(starting(path('none.py:f')), /no such file/);
      const wrong = write('wrong.py', 'def f(:\n');
      await assert.rejects(starting(`${wrong}:f`), /wrong\.py:f does not load: [^]*SyntaxError/);
    });

    it('outlive the SIGUSR1 by which a scheduler warns every process of a job', async () => {
      const { logger, events } = keepingLogger();
      await using warned = new ActorSystem({ logger, localMode: true });
      const actor = await actorOf(`${python}:compute_score`, {}, { system: warned });
      const pids = (): number[] =>
        events.flatMap(({ event, fields }) =>
          event === 'python reward function loaded' ? [Number(fields['pid'])] : [],
        );
      const before = pids();
      process.kill(before[0]!, 'SIGUSR1');
      assert.deepEqual(overall(await score(actor, 'a', 'bc')), [1, 2]);
      assert.deepEqual(pids(), before);
    });

    it('die with their actor, in the middle of whatever they do', async () => {
      using workers = new LivingWorkers();
      const { logger, events } = keepingLogger();
      await using doomed = new ActorSystem({ logger });
      const actor = await actorOf(`${python}:compute_score`, {}, { system: doomed });
      const pid = events.find(({ event }) => event === 'python reward function loaded')!.fields[
        'pid'
      ];
      assert.ok(isRunning(Number(pid)));
      const asked = assert.rejects(score(actor, 'hang'), { code: 'ACTOR_CRASHED' });
      await workers.find(actor.name)!.terminate();
      await asked;
      await ended(Number(pid));
    });

    it('train under the gate of their config, without forwarding its weights', async () => {
      const run = path('gated');
      await trainTiny(demo, run, [
        `worker.reward.reward_function=${python}:chain`,
        `worker.reward.python=${interpreter}`,
        'worker.reward.reward_function_kwargs={ema_alpha: 0.3}',
        'worker.reward.gate={rule: ema, key: acc, bonus: [reason]}',
        'trainer.max_steps=1',
        'trainer.val_before_train=false',
      ]);
      // Eight responses: base 0.25, and reasons 0, 0.5, … 3.5.
      assert.equal(metricsOf(run)[0]!['reward/overall'], 0.25 + 1.75);
    });
  });

  describe('in JavaScript', () => {
    it('have the one response that is at fault skipped, the others scored', async () => {
      const actor = await actorOf(`${script}:compute`, { limitMs: 300, skipsInvalid: true });
      for (const [text, problem] of [
        ['raise', /^threw: no such finding$/],
        ['die', /its thread ended: exited with code 3/],
        ['hang', /^took longer than 0\.3 s/],
        ['nan', /^'overall' is not a finite number but NaN$/],
      ] as const) {
        const scored = await score(actor, 'a', 'bc', `please ${text}`, 'def');
        assert.deepEqual(overall(scored), [1, 2, undefined, 3], text);
        assert.match(scored[2]!.problem!, problem);
      }
    });

    it('run at the same time in the actors of a run', async () => {
      const kwargs = { folder: path(), others: ['first', 'second'] };
      const actors = await Promise.all([0, 1].map(() => actorOf(`${script}:meet`, {}, { kwargs })));
      const replies = await Promise.all(kwargs.others.map((name, i) => score(actors[i]!, name)));
      assert.deepEqual(replies.map(overall), [[1], [1]]);
      assert.ok(existsSync(path('second')));
    });

    it('are ended with a run that is stopped in the middle of a call', async () => {
      const actor = await actorOf(`${script}:compute`);
      const asked = assert.rejects(score(actor, 'hang'), { code: 'ACTOR_STOPPED' });
      await system.shutdown();
      await asked;
    });
  });

  effectOf('worker.reward.invalid_responses');
  it('train on without the responses that cannot be scored, and count them', async () => {
    const run = path('skipping');
    const odd = write(
      'odd.mjs',
      // Of every four responses to a prompt the first is never scored; of the first prompt only one is.
      `export const score = (inputs) => inputs.map((_, i) =>
         (i % 4 === 0 || i < 3 ? {} : { overall: i % 3 }));`,
    );
    const { logger } = keepingLogger();
    await trainTiny(
      demo,
      run,
      [
        `worker.reward.reward_function=${odd}:score`,
        'worker.reward.invalid_responses=skip',
        'worker.rollout.n=4',
        'trainer.max_steps=1',
      ],
      { logger },
    );
    const [before, step] = metricsOf(run);
    const last = step ?? before!;
    // Four prompts of four: three of the first and one of each other are not scored, and the first's last is alone.
    assert.equal(last['reward/invalid_responses'], 6);
    // The metric is of all that were scored, that one too, as with groups that are filtered out.
    const scored = [3, 5, 6, 7, 9, 10, 11, 13, 14, 15].map((i) => i % 3);
    const mean = scored.reduce((a, b) => a + b, 0) / scored.length;
    assert.ok(Math.abs(last['reward/overall']! - mean) < 1e-12);
    assert.equal(last['val/invalid_responses'], 3);
  });

  it('see the prompt, the conversation, the columns of the row, the tokens and how the response ended', async () => {
    const file = path('seen.json');
    await trainTiny(demo, path('seeing'), [
      `worker.reward.reward_function=${script}:seen`,
      `worker.reward.reward_function_kwargs.file=${file}`,
      'trainer.max_steps=1',
      'trainer.val_freq=-1',
      'trainer.val_before_train=false',
    ]);
    const rows = readFileSync(join(demo, 'closed-validation.jsonl'), 'utf8').split('\n');
    const inputs = JSON.parse(readFileSync(file, 'utf8')) as RewardInput[];
    const [one] = inputs;
    const row = JSON.parse(rows[0]!) as Record<string, string>;
    assert.deepEqual(one!.columns, row);
    assert.equal(one!.groundTruth, row['answer']);
    assert.ok(one!.prompt.includes(row['prompt']!));
    const [picture, ...text] = one!.messages.at(-1)!.content as ContentPart[];
    assert.deepEqual(picture, { type: 'image' });
    assert.deepEqual(text, [{ type: 'text', text: one!.prompt.replace('<image>', '') }]);
    for (const { responseIds, responseLength, finishReason, response } of inputs) {
      assert.equal(responseIds.length, responseLength);
      assert.equal(tokenizer.decode(responseIds, { skipSpecialTokens: true }), response);
      if (responseLength < 12) assert.equal(finishReason, 'stop');
    }
    assert.ok(inputs.some(({ finishReason }) => finishReason === 'length'));
  });

  it('are summed by their weights, each with its own metrics', async () => {
    const run = path('several');
    const letters = 'test/support/letters-reward.ts:score';
    await trainTiny(demo, run, [
      'worker.reward.reward_function=null',
      `worker.reward.reward_functions=[{name: grade, reward_function: closed}, ` +
        `{name: letters, reward_function: '${letters}', weight: 0.25}]`,
      'trainer.max_steps=1',
      'trainer.val_before_train=false',
    ]);
    const [step] = metricsOf(run);
    for (const [name, overall] of [
      ['reward/%', 'reward/overall'],
      ['val/%_reward', 'val/reward_score'],
    ] as const) {
      const of = (part: string): number => step![name.replace('%', part)]!;
      const sum = of('grade/overall') + 0.25 * of('letters/overall');
      assert.ok(of('letters/overall') > 0);
      assert.ok(Math.abs(step![overall]! - sum) < 1e-12, name);
      assert.ok(of('grade/acc') >= 0);
    }
  });

  it('may be a judge behind an endpoint, whose work is counted', async () => {
    await using server = await JudgeServer.open((_, index) =>
      index === 1 ? { status: 429, headers: { 'retry-after': '0' } } : 'Score: 4',
    );
    const run = path('judged');
    const judge = { base_url: server.baseUrl, model: 'm', input_cost_per_token: 0.5 };
    await trainTiny(demo, run, [
      'worker.reward.reward_function=null',
      `worker.reward.reward_functions=${JSON.stringify([{ name: 'judge', weight: 2, judge }])}`,
      'trainer.max_steps=1',
      'trainer.val_before_train=false',
    ]);
    const [step] = metricsOf(run);
    assert.ok(Math.abs(step!['reward/overall']! - 0.8) < 1e-12);
    assert.ok(Math.abs(step!['val/reward_score']! - 0.8) < 1e-12);
    const [trained, validated] = [step!['reward/judge/requests']!, step!['val/judge/requests']!];
    assert.equal(step!['reward/judge/retries'], 1);
    assert.equal(step!['reward/judge/cost'], 5 * trained);
    assert.equal(server.calls.length, trained + validated + 1);
  });

  it('score while the learners and the reference compute log-probabilities', async () => {
    const timeline = path('timeline.json');
    await trainTiny(demo, path('beside'), [
      'worker.reward.reward_function=test/support/letters-reward.ts:scoreIn100Ms',
      `trainer.ray_timeline=${timeline}`,
      'trainer.max_steps=1',
      'trainer.val_freq=-1',
      'trainer.val_before_train=false',
    ]);
    const spans = JSON.parse(readFileSync(timeline, 'utf8')) as {
      name: string;
      ts: number;
      dur: number;
    }[];
    const of = (phase: string): { ts: number; dur: number } =>
      spans.find(({ name }) => name === phase)!;
    const [reward, old, adv] = [of('reward'), of('old'), of('adv')];
    assert.ok(old.ts < reward.ts + reward.dur, 'a pass begins before the scores are there');
    assert.ok(reward.ts + reward.dur <= adv.ts + 1, 'advantages wait for them');
  });
});
