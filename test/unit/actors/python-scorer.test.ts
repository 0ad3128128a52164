import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { PythonScorer, type PythonProps } from '../../../actors/reward/python-scorer.ts';
import type { Answer } from '../../../src/data/answer.ts';
import type { Outcome } from '../../../src/reward/outcome.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';
import { keepingLogger } from '../../support/tiny-run.ts';

const never = new AbortController().signal;

describe('a Python reward', () => {
  let folder: TemporaryDirectory;
  let interpreter: string;
  before(function () {
    folder = new TemporaryDirectory();
    // The interpreter itself: what stands on the path may be a script that takes its time to find it.
    const tell = ['-c', 'import sys; print(sys.executable)'];
    const found = spawnSync('python3', tell, { encoding: 'utf8' });
    if (found.status !== 0) this.skip();
    interpreter = found.stdout.trim();
  });
  after(() => folder[Symbol.dispose]());

  function scorerOf(source: string, options: Partial<PythonProps> = {}) {
    const file = folder.write(`${String(Math.random()).slice(2)}.py`, source);
    const { logger, events } = keepingLogger();
    const usual = { kwargs: {}, rewardType: 'batch', python: interpreter, cpus: 1 } as const;
    const scorer = new PythonScorer({ ...usual, spec: `${file}:score`, ...options }, logger);
    const score = (...answers: readonly Answer[]): Promise<Outcome[]> =>
      scorer.score(
        answers.map((groundTruth) => ({ response: 'a', responseLength: 1, groundTruth })),
        20_000,
        never,
      );
    return { scorer, score, events };
  }

  it('gets every answer as its row has it', async () => {
    const { scorer, score } = scorerOf(`
KINDS = ["B", 3, -0.5, True, [12, 50.5], {"label": "B", "box": [1, None]}, []]

def score(items):
    return [{"overall": item["ground_truth"] == kind and type(item["ground_truth"]) is type(kind)}
            for item, kind in zip(items, KINDS)]
`);
    await using _ = scorer;
    const box = { label: 'B', box: [1, null] };
    const outcomes = await score('B', 3, -0.5, true, [12, 50.5], box, []);
    assert.deepEqual(outcomes, new Array(7).fill({ parts: { overall: 1 } }));
  });
});
