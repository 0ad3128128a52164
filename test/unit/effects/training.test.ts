import assert from 'node:assert/strict';
import { estimateAdvantages, initialKlController } from '../../../actors/trainer/advantages.ts';
import {
  criticSettings,
  explorationSettings,
  learnerSettings,
} from '../../../actors/trainer/settings.ts';
import { policyLoss } from '../../../src/algorithms/policy-loss.ts';
import { tokenRows } from '../../../src/algorithms/primitives.ts';
import { valueLoss } from '../../../src/algorithms/value-loss.ts';
import type { Config } from '../../../src/config/schema.ts';
import type { PackedBatch } from '../../../src/model/batch.ts';
import { Arena } from '../../../src/model/weights/arena.ts';
import { layOut } from '../../../src/model/weights/arena-layout.ts';
import type { Device } from '../../../src/device/device.ts';
import { openDevice } from '../../../src/device/open.ts';
import { tensorOf, type Tensor } from '../../../src/tensor/tensor.ts';
import { microBatches } from '../../../src/training/micro-batches.ts';
import { updateByMiniBatches } from '../../../src/training/updates.ts';
import { entropyTerms, needsEntropies } from '../../../src/training/exploration.ts';
import { Optimization } from '../../../src/training/optimization.ts';
import { hostNumbers } from '../../support/host-numbers.ts';
import { textPrompt } from '../../support/golden-model.ts';
import { effectOf, effects } from '../../support/effect.ts';
import { madePrompt, madeResponse } from '../../support/made-rollout.ts';
import { assertChanges, configOf } from './changes.ts';

const f32 = (...values: readonly number[]): Float32Array => Float32Array.from(values);
const tensor = (...values: readonly number[]): Tensor<'f32'> =>
  tensorOf('f32', [values.length], values);

/** Two responses, of two tokens and of three. */
const rows = tokenRows([2, 3]);

describe('a key of the config', () => {
  describe('of the policy loss', () => {
    // Ratios e^0.5, e^-0.6 and e^-0.5 lie outside every bound, with advantages of either sign; e^1.5 under the dual clip
    // alone.
    const input = {
      ...rows,
      logProbs: f32(-1, -2, -1, -2, -0.5),
      oldLogProbs: f32(-1.5, -1.4, -1.5, -1.5, -2),
      advantages: f32(1, 1, -2, -2, -2),
      refLogProbs: f32(-1.2, -1.1, -2, -1.5, -0.9),
    };
    const lossOf = (config: Config): unknown => policyLoss(input, learnerSettings(config).loss);

    effects(
      'changes the loss and its gradient',
      [
        'worker.actor.clip_ratio_low=0.1',
        'worker.actor.clip_ratio_high=0.1',
        'worker.actor.clip_ratio_dual=2',
        'worker.actor.loss_avg_mode=seq',
        'worker.actor.loss_avg_mode=seq-mean-token-mean',
        'worker.actor.loss_avg_mode=seq-mean-token-sum',
        'worker.actor.loss_avg_mode=seq-mean-token-sum-norm',
        'worker.actor.loss_type=gspo',
        'worker.actor.loss_type=gspo_token',
        'worker.actor.loss_type=cispo',
        'worker.actor.loss_type=sapo',
        'worker.actor.loss_type=gpg',
        'worker.actor.loss_type=geo_mean',
        'worker.actor.loss_type=vespo',
        'worker.actor.loss_type=luspo',
        'worker.actor.loss_type=clip_cov',
        'worker.actor.loss_type=kl_cov',
        'algorithm.use_kl_loss=true',
      ],
      (item) => assertChanges(lossOf, item),
    );

    effects(
      'changes the constant that a response is averaged by',
      ['worker.actor.loss_scale_factor=7', 'data.max_response_length=7'],
      (item) => assertChanges(lossOf, item, 'worker.actor.loss_avg_mode=seq-mean-token-sum-norm'),
    );

    effects(
      'changes the loss of SAPO',
      ['worker.actor.tau_positive=2', 'worker.actor.tau_negative=2'],
      (item) => assertChanges(lossOf, item, 'worker.actor.loss_type=sapo'),
    );

    effects(
      'changes the loss of VESPO',
      [
        'worker.actor.vespo_k_pos=1',
        'worker.actor.vespo_lambda_pos=1',
        'worker.actor.vespo_k_neg=1',
        'worker.actor.vespo_lambda_neg=1',
      ],
      (item) => assertChanges(lossOf, item, 'worker.actor.loss_type=vespo'),
    );

    effects(
      'changes the loss of Clip-Cov',
      [
        'worker.actor.clip_cov_ratio=0.1',
        'worker.actor.clip_cov_lb=-0.5',
        'worker.actor.clip_cov_ub=-0.5',
      ],
      (item) =>
        assertChanges(
          lossOf,
          item,
          'worker.actor.loss_type=clip_cov',
          'worker.actor.clip_cov_ratio=1',
          'worker.actor.clip_cov_lb=-2',
        ),
    );

    effects(
      'changes the loss of KL-Cov',
      ['worker.actor.kl_cov_ratio=0.5', 'worker.actor.ppo_kl_coef=2'],
      (item) => assertChanges(lossOf, item, 'worker.actor.loss_type=kl_cov'),
    );

    effects(
      'changes a loss with KL',
      ['algorithm.disable_kl=true', 'algorithm.kl_penalty=mse', 'algorithm.kl_coef=0.5'],
      (item) => assertChanges(lossOf, item, 'algorithm.use_kl_loss=true'),
    );
  });

  describe('of the value loss', () => {
    const input = {
      ...rows,
      values: f32(0.1, 0.9, -0.8, 0.4, 0.2),
      oldValues: f32(0, 0.1, 0.1, 0.3, 0.2),
      returns: f32(1, 1, 0.5, 0.5, 0.5),
    };
    const lossOf = (config: Config): unknown => valueLoss(input, criticSettings(config).loss);

    effects(
      'changes the loss and its gradient',
      ['worker.critic.cliprange_value=0.05', 'worker.critic.loss_avg_mode=seq'],
      (item) => assertChanges(lossOf, item),
    );

    effectOf('worker.critic.loss_scale_factor');
    it('changes the constant that a response is averaged by: worker.critic.loss_scale_factor=7', () =>
      assertChanges(
        lossOf,
        'worker.critic.loss_scale_factor=7',
        'worker.critic.loss_avg_mode=seq-mean-token-sum-norm',
      ));
  });

  describe('of advantages', () => {
    const scored = [1, 0.5, 0, 0.25].map((overall, i) => {
      const prompt = madePrompt(`p${i >> 1}`);
      const response = madeResponse([5, 6]);
      const group = { id: prompt.promptId, prompt, policyVersion: 1, responses: [response] };
      return { group, response, text: '', parts: { overall } };
    });
    const baselines = new Map([
      ['p0', 0.3],
      ['p1', 0.1],
    ]);
    const view = {
      oldLogProbs: scored.map((_, i) => tensor(-1 - i / 8, -0.5)),
      entropies: null,
      refLogProbs: scored.map(() => tensor(-1.25, -0.75)),
      values: scored.map((_, i) => tensor(0.2 * i, 0.1)),
    };
    const estimate = (config: Config) =>
      estimateAdvantages(
        config.algorithm,
        initialKlController(config.algorithm),
        { scored, baselines },
        view,
      );
    const advantages = (config: Config): unknown => {
      const { tokenRewards, advantages, returns } = estimate(config);
      return { tokenRewards, advantages, returns };
    };

    effects(
      'changes them',
      [
        'algorithm.adv_estimator=rloo',
        'algorithm.adv_estimator=grpo_passk',
        'algorithm.adv_estimator=remax',
        'algorithm.adv_estimator=reinforce_plus_plus',
        'algorithm.adv_estimator=gae',
        'algorithm.adv_estimator=reinforce_plus_plus_baseline',
        'algorithm.adv_estimator=opo',
        'algorithm.adv_estimator=gpg',
        'algorithm.scale_rewards=batch',
        'algorithm.scale_rewards=none',
        'algorithm.use_kl_loss=true',
        'algorithm.kl_penalty=abs',
        'algorithm.kl_coef=0.5',
      ],
      (item) => assertChanges(advantages, item),
    );

    effects('changes those of GAE', ['algorithm.gamma=0.5', 'algorithm.lam=0.5'], (item) =>
      assertChanges(advantages, item, 'algorithm.adv_estimator=gae'),
    );

    effectOf('algorithm.gamma');
    it('changes those of REINFORCE++: algorithm.gamma=0.5', () =>
      assertChanges(
        advantages,
        'algorithm.gamma=0.5',
        'algorithm.adv_estimator=reinforce_plus_plus',
      ));

    const nextCoef = (config: Config): number => estimate(config).klController.coef;

    effectOf('algorithm.kl_type');
    it('changes the weight of KL in the next step: algorithm.kl_type=adaptive', () =>
      assertChanges(nextCoef, 'algorithm.kl_type=adaptive'));

    // The KL of this batch is above the usual target by more than the controller follows at once, and below the other.
    effects(
      'changes the weight that adapts',
      ['algorithm.kl_target=0.5', 'algorithm.kl_horizon=100'],
      (item) => assertChanges(nextCoef, item, 'algorithm.kl_type=adaptive'),
    );
  });

  describe('of exploration', () => {
    const entropies = [tensor(0.5, 1.5), tensor(0.25, 2, 1.75)]; // 1.2 on average
    const explored = (config: Config): unknown => {
      const options = explorationSettings(config);
      const input = { tokens: rows, advantages: f32(1, 2, 3, 4, 5) };
      const measured = needsEntropies(options) ? entropies : null;
      const first = entropyTerms(options, { ...input, entropies: measured }, undefined);
      const second = entropyTerms(options, { ...input, entropies }, first.nextEntropyCoeff);
      return [first, second];
    };

    effects(
      'changes what is measured, and the weight of entropy',
      [
        'worker.actor.calculate_entropy=true',
        'worker.actor.entropy_coeff=0.1',
        'worker.actor.use_adaptive_entropy=true',
        'algorithm.top_entropy_quantile=0.5',
      ],
      (item) => assertChanges(explored, item),
    );

    effects(
      'changes the weight that adapts',
      [
        'worker.actor.entropy_target=1',
        'worker.actor.entropy_coeff_delta=0.25',
        'worker.actor.entropy_coeff_max=0.5',
        'worker.actor.entropy_coeff=0.3',
      ],
      (item) =>
        assertChanges(
          explored,
          item,
          'worker.actor.use_adaptive_entropy=true',
          'worker.actor.entropy_target=2',
          'worker.actor.entropy_coeff_delta=0.75',
        ),
    );

    effectOf('worker.actor.entropy_coeff_min');
    it('changes the least weight that adapts: worker.actor.entropy_coeff_min=0.1', () =>
      assertChanges(
        explored,
        'worker.actor.entropy_coeff_min=0.1',
        'worker.actor.use_adaptive_entropy=true',
      ));
  });

  effectOf('worker.rollout.temperature');
  it('is what logits are divided by: worker.rollout.temperature', async () => {
    const config = await configOf('worker.rollout.temperature=0.5');
    assert.equal(learnerSettings(config).temperature, 0.5);
  });

  effectOf('sft.micro_batch_size');
  it('changes how reference answers are divided: sft.micro_batch_size=2', () => {
    const samples = [5, 6, 7, 8].map((length, i) => ({
      prompt: textPrompt([i]),
      response: tensorOf('i32', [length], Array<number>(length).fill(7)),
    }));
    const divided = (config: Config): number[][] =>
      microBatches(samples, { ...learnerSettings(config).supervisedMicroBatch, maxTokens: 9 });
    return assertChanges(divided, 'sft.micro_batch_size=2');
  });

  for (const role of ['actor', 'critic'] as const) {
    const settingsOf = role === 'actor' ? learnerSettings : criticSettings;

    describe(`of the optimizer of the ${role}`, () => {
      let device: Device;
      before(() => (device = openDevice({ threads: 1 })));
      after(() => device[Symbol.dispose]());

      /** Weights after three steps. */
      const stepped = async (config: Config): Promise<Float32Array> => {
        const arena = new Arena(layOut([[{ name: 'w', shape: [16] }]]));
        arena.data.forEach((_, i) => (arena.data[i] = 1 + i / 16));
        using optimization = new Optimization(device, arena, settingsOf(config).optimization);
        // Some of their norms are within any bound: AdamW does not see a scale that all have.
        for (const scale of [0.125, -3, 0.25]) {
          hostNumbers(optimization.gradients).forEach(
            (_, i, all) => (all[i] = scale * Math.sin(i + 1)),
          );
          await optimization.step(1e-2);
        }
        return arena.data;
      };

      effects(
        'changes the weights after some steps',
        [
          `worker.${role}.optim.betas=[0.5, 0.9]`,
          `worker.${role}.optim.weight_decay=0.5`,
          `worker.${role}.optim.strategy=adamw_bf16`,
          `worker.${role}.fsdp.torch_dtype=bf16`,
          `worker.${role}.fsdp.mp_reduce_dtype=bf16`,
          `worker.${role}.max_grad_norm=0.1`,
        ],
        (item) => assertChanges(stepped, item),
      );
    });

    effectOf(`worker.${role}.offload.offload_optimizer`);
    it(`changes where the optimizer's state lies: worker.${role}.offload.offload_optimizer=true`, () =>
      assertChanges(
        (config) => settingsOf(config).optimization.offloadsState,
        `worker.${role}.offload.offload_optimizer=true`,
      ));

    effectOf(`worker.${role}.model.enable_gradient_checkpointing`);
    it(`changes what is kept of a pass: worker.${role}.model.enable_gradient_checkpointing=false`, () =>
      assertChanges(
        (config) => settingsOf(config).gradientCheckpointing,
        `worker.${role}.model.enable_gradient_checkpointing=false`,
      ));

    describe(`of the passes of the ${role}`, () => {
      const samples = [40, 10, 20, 20, 30, 8].map((length, i) => ({
        prompt: textPrompt([i, 1, 2]),
        response: tensorOf('i32', [length], Array<number>(length).fill(7)),
      }));
      const divided = (use: 'updateMicroBatch' | 'experienceMicroBatch') => (config: Config) =>
        microBatches(samples, settingsOf(config)[use]);
      const usual = [
        'data.max_prompt_length=3',
        'data.max_response_length=40',
        `worker.${role}.micro_batch_size_per_device_for_update=2`,
        `worker.${role}.micro_batch_size_per_device_for_experience=2`,
      ];

      effects(
        'changes how an update is divided',
        [
          `worker.${role}.micro_batch_size_per_device_for_update=1`,
          `worker.${role}.dynamic_batching=false`,
          'data.max_prompt_length=90',
          'data.max_response_length=120',
        ],
        (item) => assertChanges(divided('updateMicroBatch'), item, ...usual),
      );

      effects(
        'changes how scoring is divided',
        [
          `worker.${role}.micro_batch_size_per_device_for_experience=6`,
          `worker.${role}.dynamic_batching=false`,
        ],
        (item) => assertChanges(divided('experienceMicroBatch'), item, ...usual),
      );

      effectOf(`worker.${role}.ppo_epochs`);
      it(`worker.${role}.ppo_epochs is how often a batch is gone through`, async () => {
        using device = openDevice({ threads: 1 });
        const arena = new Arena(layOut([[{ name: 'w', shape: [16] }]]));
        for (const epochs of [1, 3]) {
          const config = await configOf(`worker.${role}.ppo_epochs=${epochs}`);
          const { optimization: options, ...settings } = settingsOf(config);
          using optimization = new Optimization(device, arena, options);
          let passed = 0;
          const network = {
            accumulateGradients({ trees }: PackedBatch) {
              passed += trees.flatMap(({ responses }) => responses).length;
              return Promise.resolve();
            },
          };
          const loss = () => ({ metrics: {}, gradient: f32() });
          const { updateMicroBatch: microBatch } = settings;
          const passes = { loss, microBatch, epochs: settings.epochs, learningRate: 0 };
          const batches = [{ samples, responseTokens: 128, sequences: 6 }];
          await updateByMiniBatches(network, optimization, batches, passes);
          assert.equal(passed, samples.length * epochs);
        }
      });
    });
  }
});
