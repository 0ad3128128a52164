import assert from 'node:assert/strict';
import {
  rolloutProtocol,
  type GenerateRequest,
  type Group,
} from '../../../actors/rollout/protocol.ts';
import { planRun } from '../../../actors/trainer/plan.ts';
import { silentReporter } from '../../../actors/trainer/report/reporter.ts';
import { generateGroups } from '../../../actors/trainer/sample.ts';
import { defaults } from '../../../src/config/schema.ts';
import { fakeRef } from '../../support/fake-ref.ts';
import { madePrompt, madeResponse } from '../../support/made-rollout.ts';

/** Prompts of two data sets, both of which have a row `train.jsonl:7`. */
const prompts = [3, 4, 5].map((token) => madePrompt('train.jsonl:7', [token]));

const { sampling } = planRun(defaults()).step;
const request = {
  sampling: { ...sampling, n: 1 },
  ...{ maxTokens: 1, stream: ['rollout', 1, 1], policyVersion: 1 },
  signal: new AbortController().signal,
};

/** Answers every prompt with its own first token. */
function echoed({ prompts }: Pick<GenerateRequest, 'prompts'>): { groups: Group[] } {
  const groups = prompts.map(({ promptId, input }) => {
    return { promptId, responses: [madeResponse([input.tokenIds.data[0]!])] };
  });
  return { groups };
}

describe('responses from rollouts', () => {
  it('are those to each prompt, where prompts share an id', async () => {
    const rollout = fakeRef('rollout', rolloutProtocol, {
      generate: (asked) => Promise.resolve(echoed(asked)),
    });
    for (const rollouts of [[rollout], [rollout, rollout]]) {
      const groups = await generateGroups(rollouts, prompts, request, silentReporter);
      assert.deepEqual(
        groups.map(({ prompt, responses }) => [prompt, responses[0]!.tokenIds.data[0]]),
        prompts.map((prompt, i) => [prompt, 3 + i]),
      );
    }
  });

  it('are all there, in the order of their prompts', async () => {
    const reply = (change: (groups: Group[]) => Group[]): Promise<unknown> =>
      generateGroups([], prompts, request, silentReporter, (asked) =>
        Promise.resolve({ groups: change(echoed(asked).groups) }),
      );
    const invalid = { code: 'WIRE_INVALID', message: 'prompt train.jsonl:7 got no group for 1' };
    await assert.rejects(
      reply((groups) => groups.slice(1)),
      invalid,
    );
    await assert.rejects(
      reply((groups) => groups.map((group) => ({ ...group, promptId: 'train.jsonl:8' }))),
      invalid,
    );
  });
});
