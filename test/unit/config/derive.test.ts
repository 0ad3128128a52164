import assert from 'node:assert/strict';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  derive,
  learnerCount,
  trainingSteps,
  validationSampling,
} from '../../../src/config/derive.ts';
import { Config, defaults } from '../../../src/config/schema.ts';
import { effectOf } from '../../support/effect.ts';
import { withVariables } from '../../support/environment.ts';

const here = import.meta.dirname;

function configOf(input: unknown): Config {
  const decoded = Config.decode(input);
  assert.equal(decoded._tag, 'Right');
  return decoded.right;
}

describe('learnerCount', () => {
  const count = (worker: object, trainer: object): number =>
    learnerCount(configOf({ worker: { actor: worker }, trainer }));

  effectOf('trainer.nnodes', 'trainer.n_gpus_per_node');
  it('is the number of hosts on CPUs, of GPUs where they train, and else what is said', () => {
    assert.equal(count({}, { n_gpus_per_node: 8 }), 1);
    assert.equal(count({}, { nnodes: 3, n_gpus_per_node: 8 }), 3);
    assert.equal(count({}, { nnodes: 3, n_gpus_per_node: 4, device: 'cuda' }), 12);
    assert.equal(count({ num_workers: 5 }, { nnodes: 3, device: 'cuda' }), 5);
  });
});

describe('derive', () => {
  effectOf(
    'worker.actor.global_batch_size_per_device',
    'worker.actor.disable_kl',
    'worker.actor.use_kl_loss',
    'worker.actor.kl_penalty',
    'worker.actor.kl_coef',
    'worker.critic.global_batch_size_per_device',
    'worker.ref.micro_batch_size_per_device_for_experience',
    'worker.ref.padding_free',
    'worker.ref.dynamic_batching',
    'worker.ref.ulysses_size',
    'worker.ref.use_torch_compile',
    'worker.rollout.prompt_length',
    'worker.rollout.response_length',
    'worker.rollout.trust_remote_code',
  );
  it('copies lengths, KL settings and log-probability settings between sections', () => {
    const config = derive(
      configOf({
        data: { max_prompt_length: 30, max_response_length: 20 },
        algorithm: {
          disable_kl: true,
          use_kl_loss: true,
          kl_penalty: 'low_var_kl',
          kl_coef: 0.01,
        },
        worker: {
          actor: {
            micro_batch_size_per_device_for_experience: 3,
            padding_free: false,
            dynamic_batching: false,
            ulysses_size: 2,
            use_torch_compile: false,
            kl_coef: 5,
            global_batch_size: 6,
            model: { trust_remote_code: false },
          },
          critic: { global_batch_size: 5 },
          rollout: { n: 4, prompt_length: 9 },
        },
      }),
      here,
    );
    const { actor, critic, rollout, ref } = config.worker;
    assert.equal(rollout.promptLength, 30);
    assert.equal(rollout.responseLength, 20);
    assert.equal(rollout.trustRemoteCode, false);
    assert.deepEqual(
      [actor.disableKl, actor.useKlLoss, actor.klPenalty, actor.klCoef],
      [true, true, 'low_var_kl', 0.01],
    );
    assert.equal(actor.globalBatchSizePerDevice, 48);
    assert.equal(critic.globalBatchSizePerDevice, 20);
    assert.equal(ref.microBatchSizePerDeviceForExperience, 3);
    assert.equal(ref.ulyssesSize, 2);
    assert.deepEqual(
      [ref.paddingFree, ref.dynamicBatching, ref.useTorchCompile],
      [false, false, false],
    );
  });

  it('makes paths that exist absolute and keeps the others', () => {
    const config = derive(
      configOf({
        data: { image_dir: '.', format_prompt: 'none.jinja', override_chat_template: '{{ x }}' },
        worker: { actor: { model: { model_path: 'derive.test.ts' } } },
      }),
      here,
    );
    assert.equal(config.data.imageDir, here);
    assert.equal(config.data.formatPrompt, 'none.jinja');
    assert.equal(config.data.overrideChatTemplate, '{{ x }}');
    assert.equal(config.worker.actor.model.modelPath, join(here, 'derive.test.ts'));
    assert.equal(config.worker.actor.model.tokenizerPath, join(here, 'derive.test.ts'));
  });

  effectOf('trainer.save_checkpoint_path');
  it('names the run’s folder after project and experiment unless told', () => {
    const { trainer, sft } = derive(defaults(), '/w');
    assert.equal(trainer.saveCheckpointPath, '/w/checkpoints/easy_r1/demo');
    assert.equal(sft.saveCheckpointPath, '/w/checkpoints/easy_r1/demo/sft');
    const told = configOf({ trainer: { save_checkpoint_path: 'out' } });
    assert.equal(derive(told, '/w').trainer.saveCheckpointPath, '/w/out');
  });

  effectOf('sft.val_files');
  it("holds out the validation set of data, but not beside a training set of sft's own", () => {
    const data = { train_files: 'a.jsonl', val_files: 'b.jsonl' };
    const heldOut = (sft: Record<string, unknown>): unknown => {
      const once = derive(configOf({ data, sft }), '/w');
      assert.deepEqual(derive(once, '/w').sft, once.sft);
      return once.sft.valFiles;
    };
    assert.equal(heldOut({}), 'b.jsonl');
    assert.equal(heldOut({ train_files: 'c.jsonl' }), null);
    assert.equal(heldOut({ train_files: 'c.jsonl', val_files: 'd.jsonl' }), 'd.jsonl');
    assert.equal(heldOut({ val_files: '' }), '');
  });

  it('reads paths as a person writes them, wherever one is named', async () => {
    const at = await withVariables({ HOME: here }, () => {
      const own = '~/derive.test.ts';
      const url = pathToFileURL(join(here, 'derive.test.ts')).href;
      const config = derive(
        configOf({
          data: { image_dir: '~', format_prompt: own, override_chat_template: url },
          worker: {
            actor: { model: { model_path: url, tokenizer_path: own } },
            critic: { model: { model_path: own } },
            reward: { reward_function: `${own}:score`, python: '~/bin/python' },
          },
          trainer: {
            save_checkpoint_path: '~/run',
            load_checkpoint_path: own,
            ray_timeline: '~/trace.json',
          },
          sft: { save_checkpoint_path: 'file:///sft' },
        }),
        '/elsewhere',
      );
      return Promise.resolve(config);
    });
    const file = join(here, 'derive.test.ts');
    const { data, trainer, sft, worker } = at;
    assert.deepEqual(
      [data.imageDir, data.formatPrompt, data.overrideChatTemplate],
      [here, file, file],
    );
    const { actor, critic, reward } = worker;
    assert.deepEqual([actor.model.modelPath, actor.model.tokenizerPath], [file, file]);
    assert.deepEqual([critic.model.modelPath, critic.model.tokenizerPath], [file, file]);
    assert.deepEqual([reward.rewardFunction, reward.rewardFunctionName], [file, 'score']);
    assert.equal(reward.python, join(here, 'bin/python'));
    assert.deepEqual(
      [trainer.saveCheckpointPath, trainer.loadCheckpointPath, trainer.rayTimeline],
      [join(here, 'run'), file, join(here, 'trace.json')],
    );
    assert.equal(sft.saveCheckpointPath, '/sft');
  });

  effectOf('worker.reward.reward_function_name');
  it('splits a reward file from its function at the last colon', () => {
    const spec = (text: string): [string | null, string | null] => {
      const input = configOf({ worker: { reward: { reward_function: text } } });
      const { reward } = derive(input, here).worker;
      return [reward.rewardFunction, reward.rewardFunctionName];
    };
    const file = join(here, 'derive.test.ts');
    assert.deepEqual(spec('./derive.test.ts:score'), [file, 'score']);
    assert.deepEqual(spec('derive.test.ts'), [file, 'main']);
    assert.deepEqual(spec('C:/x.ts:f'), ['C:/x.ts', 'f']);
    assert.deepEqual(spec('closed'), ['closed', null]);
  });
});

describe('validationSampling', () => {
  it('is one response a prompt with the overrides on top', () => {
    const { rollout } = configOf({
      worker: {
        rollout: { n: 8, top_p: 0.9, min_p: 0.1, val_override_config: { temperature: 0.5 } },
      },
    }).worker;
    assert.deepEqual(validationSampling(rollout), {
      ...{ n: 1, temperature: 0.5, topP: 0.9, topK: -1, seed: 1, ignoreEos: false, bestOf: null },
      ...{ minP: 0.1, repetitionPenalty: 1, presencePenalty: 0, frequencyPenalty: 0 },
      ...{ badWords: [], structuredOutputs: { regex: null, json: null } },
    });
  });
});

describe('trainingSteps', () => {
  const steps = (data: object, trainer: object, prompts: number): number =>
    trainingSteps(configOf({ data, trainer }), prompts);

  effectOf('trainer.total_epochs');
  it('counts whole batches of every epoch', () => {
    assert.equal(steps({ rollout_batch_size: 64 }, { total_epochs: 2 }, 64 * 144 + 63), 288);
  });

  it('counts the prompts of whole generation calls when a step is filled in parts', () => {
    const data = { rollout_batch_size: 8, mini_rollout_batch_size: 3 };
    assert.equal(steps(data, { total_epochs: 5 }, 25), 15);
  });

  effectOf('trainer.max_steps');
  it('is max_steps where that is set', () => {
    assert.equal(steps({}, { max_steps: 7 }, 10), 7);
  });
});
