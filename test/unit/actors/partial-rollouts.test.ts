import assert from 'node:assert/strict';
import { rolloutProtocol, type GenerateRequest } from '../../../actors/rollout/protocol.ts';
import type { Ask } from '../../../actors/runtime/ref.ts';
import { ActorSystem } from '../../../actors/runtime/system.ts';
import { answersInParts } from '../../../actors/trainer/ahead/partial-rollouts.ts';
import type { GroupSampler } from '../../../actors/trainer/batch.ts';
import type { StepContext } from '../../../actors/trainer/context.ts';
import { loadPolicy } from '../../../actors/trainer/models.ts';
import { planRun } from '../../../actors/trainer/plan.ts';
import { silentReporter } from '../../../actors/trainer/report/reporter.ts';
import { spawnRollouts } from '../../../actors/trainer/spawn.ts';
import { PolicyWeights } from '../../../actors/weights/policy-weights.ts';
import { WeightLoan } from '../../../actors/weights/rollout-weights.ts';
import { defaults } from '../../../src/config/schema.ts';
import { CxmindError } from '../../../src/errors.ts';
import { keyOf } from '../../../src/rng.ts';
import { zeros } from '../../../src/tensor/tensor.ts';
import { fakeRef } from '../../support/fake-ref.ts';
import { goldenPath } from '../../support/golden.ts';
import { loadGoldenModel } from '../../support/golden-model.ts';
import { madePrompt, madeResponse, rolloutOver } from '../../support/made-rollout.ts';
import { keepingLogger } from '../../support/tiny-run.ts';
import { configOf } from '../effects/changes.ts';

const { signal } = new AbortController();
const prompt = madePrompt('a');
const { sampling } = planRun(defaults()).step;

/** Asks a rollout whose weights are lent for `n` responses to the prompt. */
function answered(
  ask: Partial<Ask<typeof rolloutProtocol>>,
  loan: WeightLoan,
  { n, maxTokens, cache = 'keep' }: { n: number; maxTokens: number; cache?: 'keep' | 'recompute' },
  forget: (id: string) => void = () => undefined,
): ReturnType<GroupSampler> {
  const tell = {
    forget: (id: string) => {
      forget(id);
      return Promise.resolve();
    },
  };
  const context = {
    actors: { rollouts: [{ ...fakeRef('rollout', rolloutProtocol, ask), tell }] },
    plan: { step: { partialRollout: cache } },
    reporter: silentReporter,
    rolloutWeights: { lend: <T>(work: (lent: WeightLoan) => Promise<T>) => work(loan) },
  };
  const request = { sampling: { ...sampling, n }, maxTokens, stream: ['s'], signal };
  return answersInParts(context as unknown as StepContext, 1)([prompt], request);
}

describe('a request for responses in parts', () => {
  it('gives its responses again until it is forgotten, since a reply may be lost', async () => {
    using actor = rolloutOver(await loadGoldenModel('micro-text')).actor;
    const task = { prompt: '', images: [], groundTruth: '', columns: {} };
    const request = {
      ...{ id: 'one', cache: 'keep' as const, maxTokens: 4, ignoreEos: false, policyVersion: 1 },
      prompts: [{ ...prompt, task, seeds: [keyOf('parts', 0), keyOf('parts', 1)] }],
      ...{ sampling: { temperature: 1, topP: 1, topK: -1 }, controls: null },
      progress: zeros('i32', [2]),
    };
    const context = { signal } as never;
    const made = await actor.begin(request, context);
    assert.deepEqual(await actor.goOn({ id: 'one', policyVersion: 1 }, context), made);
    actor.forget('one');
    assert.equal(actor.hasBegun('one'), false);
    await assert.rejects(actor.goOn({ id: 'one', policyVersion: 1 }, context), {
      code: 'INTERNAL',
    });
  });

  /** The calls that a rollout hears whose first call ends by a recall or, without one, by a failure. */
  const heard = async (isRecalled: boolean): Promise<[string[], boolean]> => {
    const calls: string[] = [];
    const loan = new WeightLoan(1);
    const ask: Partial<Ask<typeof rolloutProtocol>> = {
      begin: () => {
        calls.push('begin');
        if (isRecalled) void loan.recall();
        return Promise.reject(new CxmindError('RUNTIME_CANCELLED', 'cancelled'));
      },
      hasBegun: () => {
        setImmediate(() => {
          loan.renew(2);
        });
        return Promise.resolve(true);
      },
      goOn: ({ policyVersion }) => {
        calls.push(`goOn ${policyVersion}`);
        return Promise.resolve({ groups: [{ promptId: 'a', responses: [madeResponse([0])] }] });
      },
    };
    const answer = answered(ask, loan, { n: 1, maxTokens: 1 }, (id) => calls.push(`forget ${id}`));
    const isAnswered = await answer.then(
      () => true,
      () => false,
    );
    return [calls, isAnswered];
  };

  for (const cache of ['keep', 'recompute'] as const) {
    it(`takes new weights inside its responses, whose tokens know their versions: ${cache}`, async () => {
      const made = rolloutOver(await loadGoldenModel('micro-text'));
      using actor = made.actor;
      const loan = new WeightLoan(1);
      let isOver = false;
      /** Brings new weights as soon as there are tokens by the old ones. */
      const renewOver = async (progress: GenerateRequest['progress']): Promise<void> => {
        while (!isOver && progress.data[0] === 0) await new Promise(setImmediate);
        await loan.recall();
        made.version.publish(2);
        loan.renew(2);
      };
      const ask: Partial<Ask<typeof rolloutProtocol>> = {
        begin: (request, options) => {
          void renewOver(request.progress);
          return actor.begin(request, options as never);
        },
        hasBegun: (id) => Promise.resolve(actor.hasBegun(id)),
        goOn: (request, options) => actor.goOn(request, options as never),
      };
      const [group] = await answered(ask, loan, { n: 2, maxTokens: 200, cache });
      isOver = true;
      for (const { policyVersions } of group!.responses) {
        const versions = [...policyVersions!.data];
        const old = versions.lastIndexOf(1) + 1;
        assert.ok(old > 0 && old < 200, `${old} tokens of 200 are by the old weights`);
        assert.deepEqual(versions, [
          ...Array<number>(old).fill(1),
          ...Array<number>(200 - old).fill(2),
        ]);
      }
    });
  }

  it('has time for a pass of a large model before it is taken for one that hangs', async () => {
    const { logger } = keepingLogger();
    await using system = new ActorSystem({ logger });
    const plan = planRun(await configOf(`worker.actor.model.model_path=${goldenPath('micro-vl')}`));
    const policy = await loadPolicy(system, plan.policy.model);
    await using weights = new PolicyWeights(system, policy, logger);
    const graces: unknown[] = [];
    const spawn = ({ graceMs }: { graceMs?: number }): Promise<unknown> => {
      graces.push(graceMs);
      return Promise.resolve(fakeRef('rollout', rolloutProtocol, {}));
    };
    const following = { frozen: weights.frozen, sampled: weights.sampled, followRollout: () => 0 };
    const stations = [{ place: 'thread', device: 'cpu' }] as const;
    await spawnRollouts(
      { spawn } as unknown as ActorSystem,
      plan.rollout,
      policy,
      following as unknown as PolicyWeights,
      stations,
    );
    assert.deepEqual(graces, [120_000]);
  });

  it('is gone on with after a recall, and forgotten whatever comes of it', async () => {
    assert.deepEqual(await heard(true), [['begin', 'goOn 2', 'forget s/0'], true]);
    assert.deepEqual(await heard(false), [['begin', 'forget s/0'], false]);
  });
});
