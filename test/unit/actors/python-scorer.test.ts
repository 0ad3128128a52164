import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';
import { openScorer, scoreBy, type ScorerProps } from '../../../actors/reward/scorer.ts';
import type { Answer } from '../../../src/data/row.ts';
import type { Outcome } from '../../../src/reward/outcome.ts';
import { ended } from '../../support/process-end.ts';
import { blockOf } from '../../support/pages.ts';
import { pythonInterpreter } from '../../support/python.ts';
import { rewardInput } from '../../support/reward-input.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';
import { keepingLogger } from '../../support/tiny-run.ts';

const never = new AbortController().signal;

describe('a Python reward', () => {
  let folder: TemporaryDirectory;
  let interpreter: string;
  before(function () {
    folder = new TemporaryDirectory();
    const found = pythonInterpreter();
    if (found === null) this.skip();
    interpreter = found;
  });
  after(() => folder[Symbol.dispose]());

  function scorerOf(program: string, options: Partial<ScorerProps> = {}) {
    const file = folder.write(`${String(Math.random()).slice(2)}.py`, program);
    const { logger, events } = keepingLogger();
    const usual = { kwargs: {}, rewardType: 'batch', python: interpreter, cpus: 1 } as const;
    const source = { file, name: 'score' };
    const scorer = openScorer({ ...usual, source, ...options }, logger);
    const score = (...answers: readonly Answer[]): Promise<Outcome[]> =>
      scoreBy(
        scorer,
        answers.map((groundTruth) =>
          rewardInput({ response: 'a', responseLength: 1, groundTruth }),
        ),
        20_000,
        never,
      );
    const printed = (): unknown[] =>
      events.filter(({ event }) => /printed|lost/.test(event)).map(({ fields }) => fields);
    return { scorer, score, printed };
  }

  it('gets every answer as its row has it', async () => {
    const { scorer, score } = scorerOf(`
KINDS = ["B", 3, 5_000_000_000, -0.5, True, [12, 50.5], {"label": "B", "box": [1, None]}, []]

def score(items):
    return [{"overall": item["ground_truth"] == kind and type(item["ground_truth"]) is type(kind)}
            for item, kind in zip(items, KINDS)]
`);
    await using _ = scorer;
    const box = { label: 'B', box: [1, null] };
    const outcomes = await score('B', 3, 5e9, -0.5, true, [12, 50.5], box, []);
    assert.deepEqual(outcomes, new Array(8).fill({ parts: { overall: 1 } }));
  });

  it('sees numbers of every kind, and is told which of its own are none', async () => {
    const { scorer } = scorerOf(`
def score(items):
    columns = items[0]["columns"]
    seen = [columns["huge"] == 2**62, columns["nan"] != columns["nan"], columns["end"] == -float("inf")]
    return [{"overall": sum(seen)}, {"overall": 1, "x": columns["nan"]}, {"overall": columns["end"]}]
`);
    await using _ = scorer;
    const columns = { huge: 2n ** 62n, nan: NaN, end: -Infinity };
    const input = rewardInput({ response: 'a', responseLength: 1, groundTruth: 'a', columns });
    assert.deepEqual(await scoreBy(scorer, [input, input, input], 20_000, never), [
      { parts: { overall: 3 } },
      { problem: "'x' is not a finite number but NaN" },
      { problem: "'overall' is not a finite number but -Infinity" },
    ]);
  });

  it("sees, and may return, objects that have the marks' key and are none", async () => {
    const marks = [
      'word',
      null,
      ['bytes'],
      ['other', '1'],
      ['int', 'one'],
      ['bytes', 'A'],
      [1, '2'],
      [['bytes'], '1'],
    ];
    const columns = {
      one: marks.map((mark) => ({ $cxmind: mark })),
      more: { $cxmind: ['bytes', 'AAAA'], more: 1 },
    };
    const { scorer } = scorerOf(`
import json

COLUMNS = json.loads('${JSON.stringify(columns)}')

def score(items):
    return [{"overall": items[0]["columns"] == COLUMNS, "$cxmind": 2}, {"$cxmind": 1}]
`);
    await using _ = scorer;
    const input = rewardInput({ response: 'a', responseLength: 1, groundTruth: 'a', columns });
    assert.deepEqual(await scoreBy(scorer, [input, input], 20_000, never), [
      { parts: { overall: 1, $cxmind: 2 } },
      { problem: "no 'overall' among its parts" },
    ]);
  });

  it('can encode texts that hold half a character', async () => {
    const { scorer, score } = scorerOf(`
def score(items):
    return [{"overall": item["ground_truth"].encode("utf-8") == b"a\\xef\\xbf\\xbd"} for item in items]
`);
    await using _ = scorer;
    assert.deepEqual(await score('a\ud83d'), [{ parts: { overall: 1 } }]);
  });

  it('scores as its guide has it', async () => {
    const text = blockOf('examples/own-reward.md', 'python', 'In Python');
    const file = folder.write('reward.py', text);
    const { scorer, score } = scorerOf('', { source: { file, name: 'compute_score' } });
    await using _ = scorer;
    const penalty = 1 / 64 / 2; // a response of one token, of 64
    assert.deepEqual(await score('a', 'b'), [
      { parts: { overall: 1 - penalty, accuracy: 1 } },
      { parts: { overall: -penalty, accuracy: 0 } },
    ]);
  });

  it('may start processes in every way, for functions of its own file, and takes them along', async () => {
    const { scorer, score, printed } = scorerOf(`
import concurrent.futures, multiprocessing, os, time

def square(number):
    return number * number

def score(items):
    total = 0
    for way in ("spawn", "forkserver", "fork"):
        context = multiprocessing.get_context(way)
        with context.Pool(1) as pool:
            total += pool.map(square, [3])[0]
    workers = concurrent.futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
    total += workers.submit(square, 2).result()
    workers.shutdown()
    pid = os.fork()
    if pid == 0:
        time.sleep(1000)
    print("child", pid)
    return [{"overall": total} for _ in items]
`);
    {
      await using _ = scorer;
      assert.deepEqual(await score('a'), [{ parts: { overall: 31 } }]);
    }
    const { line } = printed()[0] as { line: string };
    await ended(Number(line.split(' ')[1]));
  });

  it('that is killed is told as that, wherever it happens', async () => {
    const dying = (body: string) =>
      scorerOf(`import os, signal, threading, time\n\ndef score(items):\n    ${body}`);
    const killed = /^its process was killed \(SIGKILL\), which is also how Linux ends one/;
    for (const [body, message] of [
      ['os.kill(os.getpid(), signal.SIGKILL)', killed],
      ['print("bye"); os.abort()', /^its process ended with SIGABRT, after\nbye$/],
      ['os._exit(7)', /^its process ended with code 7$/],
      ['raise KeyboardInterrupt', /^raised\nTraceback[^]*KeyboardInterrupt$/],
    ] as const) {
      const { scorer, score } = dying(body);
      await using _ = scorer;
      await assert.rejects(score('a'), { code: 'REWARD_INVALID', message }, body);
    }
    const { scorer, score } = scorerOf('import os\nos.kill(os.getpid(), 9)');
    await using _ = scorer;
    const message = /^reward function: .*:score does not load: its process was killed/;
    await assert.rejects(score('a'), { code: 'REWARD_INVALID', message });
  });

  it('is told of the number of scores that it returned', async () => {
    const { scorer, score } = scorerOf(`
VALUES = [{"overall": 1}, [{"overall": 1}], None, 0.5, "high"]

def score(items):
    return VALUES[items[0]["ground_truth"]]
`);
    await using _ = scorer;
    for (const [index, got] of [
      /^expected a list of 2 dicts, got one dict; .* REWARD_TYPE = "sequential"$/,
      /^expected a list of 2 dicts, got 1$/,
      /^expected a list of 2 dicts, got None$/,
      /^expected a list of 2 dicts, got a value of type float$/,
      /got a value of type str$/,
    ].entries()) {
      await assert.rejects(score(index, index), { code: 'SHAPE_MISMATCH', message: got });
    }
  });

  it('has all it prints logged, before, after and beside its calls', async () => {
    const { scorer, score, printed } = scorerOf(`
import atexit, threading, time
print("loaded", end=" ")
print("whole")
atexit.register(print, "at exit")
done = threading.Event()

def later():
    done.wait()
    raise RuntimeError("beside")

thread = threading.Thread(target=later)
thread.start()

def score(items):
    done.set()
    thread.join()
    return [{"overall": 1} for _ in items]
`);
    {
      await using _ = scorer;
      await score('a');
    }
    const lines = printed().map((fields) => (fields as { line: string }).line);
    assert.equal(lines[0], 'loaded whole');
    assert.ok(lines.includes('RuntimeError: beside'), lines.join('\n'));
    assert.equal(lines.at(-1), 'at exit');
  });

  it('that is lost between two calls is logged, and started again by the next', async () => {
    const { scorer, score, printed } = scorerOf(`
import os, threading

def score(items):
    threading.Timer(0.01, os._exit, [4]).start()
    return [{"overall": 1} for _ in items]
`);
    await using _ = scorer;
    await score('a');
    while (printed().length === 0) await setTimeout(5);
    assert.deepEqual(printed(), [{ why: 'its process ended with code 4' }]);
    assert.deepEqual(await score('a'), [{ parts: { overall: 1 } }]);
  });
});
