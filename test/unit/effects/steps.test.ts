import assert from 'node:assert/strict';
import { criticProtocol } from '../../../actors/critic/protocol.ts';
import { dataProtocol } from '../../../actors/data/protocol.ts';
import { ranksAt } from '../../../actors/joint/introduce.ts';
import type { RankInfo } from '../../../actors/joint/rank.ts';
import { learnerProtocol } from '../../../actors/learner/protocol.ts';
import type { Prompt } from '../../../actors/messages.ts';
import { rewardProtocol } from '../../../actors/reward/protocol.ts';
import type { RolloutActor } from '../../../actors/rollout/actor.ts';
import { rolloutProtocol, type GenerateRequest } from '../../../actors/rollout/protocol.ts';
import { sampleBatch } from '../../../actors/trainer/batch.ts';
import { tokenRows } from '../../../src/algorithms/primitives.ts';
import { correctMismatch } from '../../../src/training/correction.ts';
import { lossMasks } from '../../../src/training/truncation.ts';
import { correctionSettings } from '../../../actors/trainer/settings.ts';
import { Critics, Learners } from '../../../actors/trainer/learners.ts';
import { policyView, updateCritic, updatePolicy } from '../../../actors/trainer/passes.ts';
import { silentReporter } from '../../../actors/trainer/report/reporter.ts';
import { planRun } from '../../../actors/trainer/plan.ts';
import type { RunState } from '../../../actors/run-folder/checkpoints.ts';
import type { StepContext } from '../../../actors/trainer/context.ts';
import { Stopwatch } from '../../../actors/trainer/report/timeline.ts';
import { PromptFeed } from '../../../actors/trainer/prompt-feed.ts';
import { validate } from '../../../actors/trainer/validation.ts';
import type { WeightSync } from '../../../actors/weights/sync.ts';
import type { Config } from '../../../src/config/schema.ts';
import { tensorOf, zeros } from '../../../src/tensor/tensor.ts';
import { fakeRef } from '../../support/fake-ref.ts';
import { loadGoldenModel, textPrompt, type GoldenModel } from '../../support/golden-model.ts';
import { madePrompt, madeResponse, rolloutOver } from '../../support/made-rollout.ts';
import { effectOf, effects } from '../../support/effect.ts';
import { assertChanges, configOf } from './changes.ts';

const signal = new AbortController().signal;
const weights = { version: 1, revise: () => Promise.resolve(), publish: () => undefined };

function contextOf(config: Config, actors: object): StepContext {
  const rolloutWeights = { use: <T>(work: (version: number) => Promise<T>) => work(1) };
  const shared = {
    ...{ reporter: silentReporter, signal, weights, rolloutWeights },
    feed: new PromptFeed(),
  };
  const context = { ...shared, actors: { replays: [], ...actors }, plan: planRun(config) };
  return context as unknown as StepContext;
}

/** Prompts of one token each, which say who they are. */
function promptsOf(from: number, count: number): Prompt[] {
  return Array.from({ length: count }, (_, i) => madePrompt(`row:${from + i}`, [from + i]));
}

const rewardRef = fakeRef('reward', rewardProtocol, {
  score: ({ responses }) =>
    Promise.resolve({
      scored: responses.map(({ tokenIds }) => ({
        text: '',
        problem: null,
        parts: { overall: tokenIds.data.length, shortness: 6 - tokenIds.data.length },
      })),
      counts: {},
    }),
});

const reward = { name: null, weight: 1, actors: [rewardRef], gate: undefined };

describe('a key of the config', () => {
  describe('of rollouts', () => {
    let model: GoldenModel;
    let actor: RolloutActor;
    before(async () => {
      model = await loadGoldenModel('micro-text');
      // One token in three ends a response.
      const third = { length: model.config.text.vocabSize / 3 };
      const stopTokens = Array.from(third, (_, i) => 3 * i);
      ({ actor } = rolloutOver(model, { stopTokens }));
    });
    after(() => actor[Symbol.dispose]());

    const few = [
      'data.rollout_batch_size=2',
      'data.max_response_length=6',
      'worker.actor.global_batch_size=2',
    ];

    /** The tokens of a step's responses, prompt by prompt. */
    const answers = async (config: Config): Promise<number[][]> => {
      const { rolloutBatchSize, miniRolloutBatchSize } = config.data;
      const count = miniRolloutBatchSize ?? rolloutBatchSize;
      let asked = 0;
      const data = fakeRef('data', dataProtocol, {
        nextPrompts: () => {
          asked += count;
          const cursor = { epoch: 0, position: asked };
          return Promise.resolve({
            prompts: promptsOf(asked - count, count),
            cursor,
            skipped: 0,
            notes: [],
          });
        },
      });
      const rollout = fakeRef('rollout', rolloutProtocol, {
        generate: (request: GenerateRequest) => actor.generate(request, { signal } as never),
      });
      const context = contextOf(config, {
        task: { name: null, data, rewards: [reward] },
        rollouts: [rollout],
      });
      const state = { replay: [], gate: { ema: null } } as unknown as RunState;
      const sampled = await sampleBatch(context, state, 1, new Stopwatch());
      const { scored } = await sampled.scoreResponses(signal);
      return scored.map(({ response }) => [...response.tokenIds.data]);
    };

    effects(
      'changes the responses',
      [
        'worker.rollout.n=3',
        'worker.rollout.temperature=0.1',
        'worker.rollout.top_p=0.1',
        'worker.rollout.top_k=1',
        'worker.rollout.seed=2',
        'worker.rollout.ignore_eos=true',
        'data.max_response_length=2',
        'data.rollout_batch_size=4',
        'trainer.seed=2',
      ],
      (item) => assertChanges(answers, item, ...few),
    );

    effects(
      'changes which responses are kept',
      [
        'algorithm.online_filtering=false',
        'algorithm.filter_low=4.2',
        'algorithm.filter_high=5.5',
        'algorithm.filter_key=shortness',
      ],
      (item) =>
        assertChanges(
          answers,
          item,
          ...few,
          'algorithm.online_filtering=true',
          'algorithm.filter_low=2',
          'algorithm.filter_high=4.9',
        ),
    );

    effects(
      'changes the weight of tokens, or which of them count',
      [
        'algorithm.rollout_correction.rollout_is=sequence',
        'algorithm.rollout_correction.rollout_is_threshold=1.5',
        'algorithm.rollout_correction.rollout_is_batch_normalize=true',
        'algorithm.rollout_correction.rollout_rs=seq_max_k3',
        'algorithm.rollout_correction.rollout_rs_threshold=3',
      ],
      (item) =>
        assertChanges(
          (config) => {
            const tensor = (...data: number[]) => tensorOf('f32', [data.length], data);
            const { advantages, masks } = correctMismatch(correctionSettings(config), {
              tokens: tokenRows([3, 2]),
              rolloutLogProbs: [tensor(-1, -2, -1), tensor(-0.5, -1)],
              oldLogProbs: [tensor(-1, -1.2, -1), tensor(-0.6, -1)],
              advantages: new Float32Array(5).fill(1),
            });
            return { advantages, masks };
          },
          item,
          'algorithm.rollout_correction.rollout_is=token',
          'algorithm.rollout_correction.rollout_rs=token_k1',
          'algorithm.rollout_correction.rollout_rs_threshold=1.2',
        ),
    );

    it('weighs by default where rollouts run ahead, as the loss allows', async () => {
      const levelOf = async (...items: string[]): Promise<unknown> =>
        correctionSettings(await configOf(...items)).rolloutIs;
      const ahead = 'trainer.max_staleness=1';
      assert.equal(await levelOf(), null);
      assert.equal(await levelOf(ahead), 'token');
      assert.equal(await levelOf(ahead, 'worker.actor.loss_type=geo_mean'), 'sequence');
      assert.equal(await levelOf(ahead, 'worker.actor.loss_type=vespo'), 'token');
      const told = 'algorithm.rollout_correction.rollout_is=null';
      assert.equal(await levelOf(ahead, told), null);
    });

    effectOf('algorithm.mask_truncated_completions');
    it('leaves truncated responses out of the losses: algorithm.mask_truncated_completions=true', async () => {
      const responses = (['stop', 'length'] as const).map((finishReason) => ({
        tokenIds: tensorOf('i32', [2], [5, 6]),
        finishReason,
      }));
      const rejected = [tensorOf('u8', [2], [0, 1]), tensorOf('u8', [2], [1, 0])];
      const masksOf = async (masks: typeof rejected | null, ...items: string[]) =>
        lossMasks((await configOf(...items)).algorithm, masks, responses)?.map(({ data }) => [
          ...data,
        ]);
      const item = 'algorithm.mask_truncated_completions=true';
      assert.equal(await masksOf(null), undefined);
      assert.deepEqual(await masksOf(null, item), [
        [1, 1],
        [0, 0],
      ]);
      assert.deepEqual(await masksOf(rejected, item), [
        [0, 1],
        [0, 0],
      ]);
    });

    effectOf('data.mini_rollout_batch_size');
    it('changes how many calls make the responses: data.mini_rollout_batch_size=1', async () => {
      const whole = await answers(await configOf(...few));
      const parts = await answers(await configOf(...few, 'data.mini_rollout_batch_size=1'));
      assert.equal(parts.length, whole.length);
      // The second call of a step has random streams of its own.
      assert.deepEqual(parts.slice(0, 2), whole.slice(0, 2));
      assert.notDeepEqual(parts.slice(2), whole.slice(2));
    });

    effectOf('worker.rollout.max_num_batched_tokens');
    it('is the longest prefill of the engine: worker.rollout.max_num_batched_tokens', async () => {
      const config = await configOf('worker.rollout.max_num_batched_tokens=3000');
      assert.equal(planRun(config).rollout.engine.maxPrefillTokens, 3000);
    });

    effectOf('worker.rollout.gpu_memory_utilization');
    it('is the share of free memory for the cache: worker.rollout.gpu_memory_utilization', async () => {
      const config = await configOf('worker.rollout.gpu_memory_utilization=0.25');
      assert.equal(planRun(config).rollout.engine.memoryShare, 0.25);
    });
  });

  describe('of a validation', () => {
    /** Requests of a validation of ten prompts, batch by batch. */
    const validated = async (config: Config): Promise<unknown> => {
      const asked: unknown[] = [];
      const data = fakeRef('data', dataProtocol, {
        validation: ({ start, end }) => {
          asked.push([start, end]);
          return Promise.resolve({ prompts: promptsOf(start, end - start) });
        },
      });
      const rollout = fakeRef('rollout', rolloutProtocol, {
        generate: ({ prompts, sampling, controls, maxTokens, ignoreEos }) => {
          asked.push([prompts.map(({ seeds }) => seeds), sampling, controls, maxTokens, ignoreEos]);
          const groups = prompts.map(({ promptId, seeds }) => ({
            promptId,
            responses: seeds.map(() => madeResponse([7])),
          }));
          return Promise.resolve({ groups });
        },
      });
      const context = contextOf(config, {
        task: { name: null, data, rewards: [reward] },
        rollouts: [rollout],
      });
      await validate(context, 10, { ema: null });
      return asked;
    };

    effects(
      'changes what is asked',
      [
        'data.val_batch_size=4',
        'worker.rollout.val_override_config={n: 3}',
        'worker.rollout.val_override_config={temperature: 0.5}',
        'worker.rollout.val_override_config={top_p: 0.5}',
        'worker.rollout.val_override_config={top_k: 5}',
        'worker.rollout.val_override_config={seed: 5}',
        'worker.rollout.val_override_config={ignore_eos: true}',
        'worker.rollout.val_override_config={min_p: 0.1}',
        'worker.rollout.val_override_config={structured_outputs: {regex: a|b}}',
        'worker.rollout.val_override_config={best_of: 3}',
      ],
      (item) => assertChanges(validated, item),
    );
  });

  describe('of an update', () => {
    const sequences = Array.from({ length: 8 }, (_, i) => ({
      prompt: { ...textPrompt([i, 1]), grids: [] },
      response: tensorOf('i32', [1], [7]),
      media: null,
    }));
    const each = sequences.map(() => zeros('f32', [1]));
    const report = { losses: {}, gradientNorms: [0] };

    const kindOf = ({ kind }: RankInfo): string => kind;

    /** Requests to learners and critics in step 4 of 10: mini-batches and rates, and temperatures of scores. */
    const asked = async (config: Config): Promise<object[]> => {
      const requests: object[] = [];
      const learner = fakeRef('learner', learnerProtocol, {
        logProbs: ({ temperature, withEntropies }) => {
          requests.push({ temperature, withEntropies });
          return Promise.resolve(each.map((one) => (withEntropies ? [one, one] : [one])));
        },
        update: ({ miniBatches, learningRate }) => {
          const sizes = miniBatches.map(({ samples }) => samples.length);
          requests.push({ actor: sizes, learningRate });
          return Promise.resolve(report);
        },
      });
      const critic = fakeRef('critic', criticProtocol, {
        values: () => Promise.resolve(each.map((one) => [one])),
        update: ({ miniBatches, learningRate }) => {
          const sizes = miniBatches.map(({ samples }) => samples.length);
          requests.push({ critic: sizes, learningRate });
          return Promise.resolve(report);
        },
      });
      const context = contextOf(config, {
        learners: new Learners([learner]),
        critics: new Critics([critic], weights as unknown as WeightSync),
        reference: null,
      });
      const clock = new Stopwatch();
      await policyView(context, sequences, clock);
      const counter = { step: 4, steps: 10 };
      const unmasked = sequences.map((sequence) => ({ ...sequence, mask: null }));
      const values = unmasked.map((one, i) => ({ ...one, oldValues: each[i]!, returns: each[i]! }));
      await updateCritic(context, values, counter, clock);
      const experiences = unmasked.map((one, i) => ({
        ...{ ...one, refLogProbs: null },
        oldLogProbs: each[i]!,
        advantages: each[i]!,
      }));
      await updatePolicy(context, { policy: experiences, entropyCoeff: 0 }, counter, clock);
      return requests;
    };

    for (const role of ['actor', 'critic']) {
      effects(
        'changes what is asked',
        [
          `worker.${role}.global_batch_size=2`,
          `worker.${role}.optim.lr=0.5`,
          `worker.${role}.optim.lr_warmup_steps=8`,
          `worker.${role}.optim.lr_warmup_ratio=0.9`,
          `worker.${role}.optim.lr_scheduler_type=cosine`,
        ],
        (item) => assertChanges(asked, item),
      );

      effectOf(`worker.${role}.optim.min_lr_ratio`);
      it(`changes the end of a cosine: worker.${role}.optim.min_lr_ratio=0.5`, () =>
        assertChanges(
          asked,
          `worker.${role}.optim.min_lr_ratio=0.5`,
          `worker.${role}.optim.lr_scheduler_type=cosine`,
        ));
    }

    effectOf('transport.collectives');
    it('changes how learners join each other: transport.collectives=mpi', () =>
      assertChanges(
        ({ transport }) => ranksAt(['thread', 'thread'], transport.collectives).map(kindOf),
        'transport.collectives=mpi',
      ));

    effects(
      'asks for entropies',
      [
        'worker.actor.calculate_entropy=true',
        'worker.actor.entropy_coeff=0.1',
        'worker.actor.use_adaptive_entropy=true',
        'algorithm.top_entropy_quantile=0.5',
      ],
      (item) => assertChanges(asked, item),
    );

    effectOf('worker.rollout.temperature');
    it('changes what is asked: worker.rollout.temperature=0.5', () =>
      assertChanges(asked, 'worker.rollout.temperature=0.5'));

    effectOf('trainer.critic_warmup');
    it('holds the policy back, and not the critic: trainer.critic_warmup=5', async () => {
      const trained = async (config: Config): Promise<string[]> =>
        (await asked(config)).flatMap((request) => Object.keys(request));
      assert.ok((await trained(await configOf())).includes('actor'));
      const warming = await trained(await configOf('trainer.critic_warmup=5'));
      assert.ok(warming.includes('critic') && !warming.includes('actor'));
    });
  });
});
