import assert from 'node:assert/strict';
import { truncateSync } from 'node:fs';
import { join } from 'node:path';
import { Answers, type SampledCall } from '../../../actors/trainer/ahead/answers.ts';
import { readKept, writeKept } from '../../../actors/trainer/ahead/kept-batches.ts';
import type { GroupSampler } from '../../../actors/trainer/batch.ts';
import { planRun } from '../../../actors/trainer/plan.ts';
import { versionAfter } from '../../../actors/trainer/schedule.ts';
import { defaults } from '../../../src/config/schema.ts';
import { tensorOf } from '../../../src/tensor/tensor.ts';
import { madePrompt, madeResponse } from '../../support/made-rollout.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const [first, second, third] = [madePrompt('a'), madePrompt('b'), madePrompt('c')];

const groupOf = (promptId: string, policyVersion: number, token: number) => ({
  promptId,
  policyVersion,
  responses: [
    madeResponse([token, 2], { logProbs: tensorOf('f32', [2], [Math.fround(-0.1), -1e-30]) }),
  ],
});

const earlier: SampledCall = {
  stream: 'rollout/1/3',
  groups: [groupOf('a', 2, 5), groupOf('b', 1, 6)],
};

describe('answers that a checkpoint kept', () => {
  const { sampling } = planRun(defaults()).step;
  const request = {
    sampling: { ...sampling, n: 1 },
    maxTokens: 2,
    stream: ['rollout', 1, 3],
    signal: new AbortController().signal,
  };
  const answersOf = async (
    answers: Answers,
    changed: Partial<typeof request> = {},
  ): Promise<{ asked: string[]; tokens: unknown[] }> => {
    const asked: string[] = [];
    const ask: GroupSampler = (prompts) => {
      asked.push(...prompts.map(({ promptId }) => promptId));
      return Promise.resolve(
        prompts.map((prompt) => ({ id: prompt.promptId, prompt, ...groupOf('', 3, 9) })),
      );
    };
    const groups = await answers.answer([third, first, second], { ...request, ...changed }, ask);
    assert.deepEqual(
      groups.map(({ prompt }) => prompt),
      [third, first, second],
    );
    return { asked, tokens: groups.map(({ responses }) => responses[0]!.tokenIds.data[0]) };
  };

  it('are given again, and kept again', async () => {
    const answers = new Answers([earlier], 1);
    assert.deepEqual(await answersOf(answers), { asked: ['c'], tokens: [9, 5, 6] });
    assert.equal(answers.stale, 0);
    assert.deepEqual(
      answers.calls[0]!.groups.map(({ policyVersion }) => policyVersion),
      [3, 2, 1],
    );
    const again = new Answers(answers.calls, 1);
    assert.deepEqual(await answersOf(again), { asked: [], tokens: [9, 5, 6] });
  });

  it('are dropped, counted and asked for anew where they are too stale', async () => {
    const answers = new Answers([earlier], 2);
    assert.deepEqual(await answersOf(answers), { asked: ['c', 'b'], tokens: [9, 5, 9] });
    assert.equal(answers.stale, 1);
  });

  it('are of one call, and of its number of responses', async () => {
    const all = { asked: ['c', 'a', 'b'], tokens: [9, 9, 9] };
    const [other, more] = [{ stream: ['greedy'] }, { sampling: { ...sampling, n: 2 } }];
    assert.deepEqual(await answersOf(new Answers([earlier], 1), other), all);
    assert.deepEqual(await answersOf(new Answers([earlier], 1), more), all);
  });

  it('are of one round, where several rounds share a stream', async () => {
    const next: SampledCall = { ...earlier, groups: [groupOf('c', 2, 7)] };
    const answers = new Answers([earlier, next], 1);
    assert.deepEqual(await answersOf(answers), { asked: ['c'], tokens: [9, 5, 6] });
    assert.deepEqual(await answersOf(answers), { asked: ['a', 'b'], tokens: [7, 9, 9] });
  });

  it('are of one prompt, where prompts of two data sets share an id', async () => {
    const twins = [first, { ...first, groundTruth: 'of the other set' }];
    const ask: GroupSampler = (prompts) =>
      Promise.resolve(
        prompts.map((prompt, i) => ({ id: 'a', prompt, ...groupOf('a', 3, 10 + i) })),
      );
    const tokensOf = async (answers: Answers): Promise<unknown[]> =>
      (await answers.answer(twins, request, ask)).map(({ prompt, responses }) => [
        ...[prompt, responses[0]!.tokenIds.data[0]],
      ]);
    const asked = new Answers([], 1);
    const expected = twins.map((prompt, i) => [prompt, 10 + i]);
    assert.deepEqual(await tokensOf(asked), expected);
    assert.deepEqual(await tokensOf(new Answers(asked.calls, 1)), expected);
  });

  it('are in a file of it, to the bit', async () => {
    using directory = new TemporaryDirectory();
    assert.deepEqual(await readKept(directory.path), []);
    const kept = [
      { step: 4, calls: [earlier] },
      { step: 5, calls: [] },
    ];
    await writeKept(directory.path, kept);
    assert.deepEqual(await readKept(directory.path), kept);
    truncateSync(join(directory.path, 'rollouts.safetensors'), 200);
    await assert.rejects(readKept(directory.path), { code: 'CHECKPOINT_INVALID' });
  });
});

describe('the version of the weights after a step', () => {
  it('counts the updates, of which the critic’s warm-up takes the first', () => {
    const after = (criticWarmup: number): number[] =>
      [-1, 0, 1, 2, 3, 4].map((step) => versionAfter({ criticWarmup }, step));
    assert.deepEqual(after(0), [1, 1, 2, 3, 4, 5]);
    assert.deepEqual(after(1), [1, 1, 2, 3, 4, 5]);
    // Step 3 is the first to update the policy.
    assert.deepEqual(after(3), [1, 1, 1, 1, 2, 3]);
  });
});
