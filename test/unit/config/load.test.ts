import assert from 'node:assert/strict';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { configFrom, type LoadOptions } from '../../../src/config/load.ts';
import { Config, type Config as Loaded } from '../../../src/config/schema.ts';
import { CxmindError } from '../../../src/errors.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const fixtures = import.meta.dirname;
const reading: LoadOptions = { purpose: null, rewards: ['closed', 'open'] };

async function read(...items: string[]): Promise<Loaded> {
  return (await configFrom(items, reading)).config;
}

async function messageOf(items: readonly string[], options: LoadOptions): Promise<string[]> {
  try {
    await configFrom(items, options);
  } catch (error) {
    assert.ok(error instanceof CxmindError);
    assert.equal(error.code, 'CONFIG_INVALID');
    return error.message.split('\n');
  }
  return [];
}

describe('configFrom', () => {
  let directory: TemporaryDirectory;
  let folder: string;
  const file = (name: string, text = ''): string => directory.write(name, text);
  beforeEach(() => {
    directory = new TemporaryDirectory();
    folder = directory.path;
  });
  afterEach(() => directory[Symbol.dispose]());

  it('lays the file over the defaults and the items over the file, left to right', async () => {
    const path = file('a.yaml', 'trainer:\n  total_epochs: 2\n  seed: 7\ndata:\n  seed: 3\n');
    const config = await read(
      'trainer.total_epochs=4',
      `config=${path}`,
      'trainer.total_epochs=5',
      'data.seed=9',
    );
    assert.equal(config.trainer.totalEpochs, 5);
    assert.equal(config.trainer.seed, 7);
    assert.equal(config.data.seed, 9);
    assert.equal(config.data.maxPromptLength, 512);
  });

  it('merges maps, free-form ones too, and replaces lists', async () => {
    const path = file(
      'a.yaml',
      'worker: {rollout: {val_override_config: {n: 2, top_p: 0.5}}}\ntrainer: {logger: [console, wandb]}\n',
    );
    const config = await read(
      `config=${path}`,
      'worker.rollout.val_override_config={temperature: 0.25, top_p: 1.0}',
      'trainer.logger=[file]',
    );
    assert.deepEqual(config.worker.rollout.valOverrideConfig, {
      n: 2,
      top_p: 1,
      temperature: 0.25,
    });
    assert.deepEqual(config.trainer.logger, ['file']);
    const one = await configFrom(['trainer.logger=tensorboard'], reading);
    assert.deepEqual(one.config.trainer.logger, ['tensorboard']);
  });

  it('reads the text after the first = as YAML', async () => {
    const config = await read(
      'worker.actor.optim.lr=1e-6',
      'worker.actor.optim.weight_decay=1.0e-2',
      'trainer.logger=[console,swanlab]',
      'worker.rollout.val_override_config={"n":16,"top_p":0.7}',
      'data.shuffle=false',
      'data.min_pixels=null',
      'data.max_pixels=',
      'data.image_dir=~',
      'data.prompt_key=a=b',
      'trainer.experiment_name=1.0',
      'trainer.project_name=2024',
      'data.override_chat_template="{{ messages }}"',
    );
    assert.equal(config.worker.actor.optim.lr, 1e-6);
    assert.equal(config.worker.actor.optim.weightDecay, 0.01);
    assert.deepEqual(config.trainer.logger, ['console', 'swanlab']);
    assert.deepEqual(config.worker.rollout.valOverrideConfig, { n: 16, top_p: 0.7 });
    assert.equal(config.data.shuffle, false);
    assert.equal(config.data.minPixels, null);
    assert.equal(config.data.maxPixels, null);
    assert.equal(config.data.imageDir, null);
    assert.equal(config.data.promptKey, 'a=b');
    assert.equal(config.trainer.experimentName, '1.0');
    assert.equal(config.trainer.projectName, '2024');
    assert.equal(config.data.overrideChatTemplate, '{{ messages }}');
  });

  it('shows everything wrong at once, each with its path and source', async () => {
    const path = file(
      'bad.yaml',
      [
        'data:',
        '  rollout_batch_size: 6',
        '  trian_files: x.jsonl',
        'worker:',
        '  actor:',
        '    clip_ratio_low: 2',
        '    global_batch_size: 4',
        '    optim: {betas: [0.9]}',
        '  rollout: {n: 2}',
        'algorithm:',
        '  online_filtering: yes',
        '  adv_estimator: grop',
      ].join('\n'),
    );
    const lines = await messageOf(
      [`config=${path}`, 'trainer.logger=[console, wandbb]', 'trainer.max_steps=4.0'],
      { purpose: 'train', rewards: ['closed'], cwd: folder },
    );
    const loggers = 'console, file, mlflow, swanlab, tensorboard, wandb';
    assert.deepEqual(lines, [
      `data.trian_files: unknown key, nearest valid key: data.train_files (${path}:3)`,
      'algorithm.adv_estimator: expected one of gae, grpo, reinforce_plus_plus, remax, rloo, grpo_passk, ' +
        'reinforce_plus_plus_baseline, opo, gpg, ' +
        `got "grop", did you mean grpo? (${path}:12)`,
      `worker.actor.clip_ratio_low: expected number in [0, 1], got 2 (${path}:6)`,
      `worker.actor.optim.betas: expected two numbers in [0, 1), got [0.9] (${path}:8)`,
      'trainer.max_steps: expected an integer >= 1 or null, got 4.0 (argument trainer.max_steps=4.0)',
      `trainer.logger[1]: expected one of ${loggers}, got "wandbb", did you mean wandb? ` +
        '(argument trainer.logger=[console, wandbb])',
      `data.rollout_batch_size: 6 prompts cannot be cut into mini-batches of worker.actor.global_batch_size = 4 (${path}:2)`,
      'worker.actor.micro_batch_size_per_device_for_experience: 16 does not divide the 12 samples of a step ' +
        `(data.rollout_batch_size x worker.rollout.n) (${path}:2)`,
      'worker.actor.model.model_path: needed and not set',
      'data.train_files: needed and not set',
      'data.val_files: needed and not set',
      'worker.reward.reward_function: needed and not set',
    ]);
  });

  it('names the section a key belongs to when it stands in the wrong one', async () => {
    const lines = await messageOf(['trainer.rollout_batch_size=4', 'clip_ratio_low=0.1'], reading);
    assert.match(lines[1]!, /nearest valid key: worker\.actor\.clip_ratio_low/);
    assert.match(lines[0]!, /nearest valid key: data\.rollout_batch_size/);
  });

  it('refuses a second document, and names where it begins', async () => {
    const path = file('two.yaml', 'data: {seed: 1}\n---\ndata: {seed: 2}\n');
    assert.deepEqual(await messageOf([`config=${path}`], reading), [
      `${path}: expected one YAML document, a second begins (${path}:2)`,
    ]);
  });

  it('takes an item with the plus sign of Hydra', async () => {
    const { config } = await configFrom(['+data.seed=3', '++trainer.max_steps=4'], reading);
    assert.deepEqual([config.data.seed, config.trainer.maxSteps], [3, 4]);
  });

  it('says what of an item or a file cannot be read', async () => {
    const path = file('broken.yaml', 'data:\n  seed: 1\n  seed: 2\n');
    assert.deepEqual(
      await messageOf(['data.seed=[1', '=3', 'data.seed', 'x.yaml', 'config='], reading),
      [
        'data.seed: Flow sequence must end with a ] (argument data.seed=[1)',
        '=3: expected path.to.key=value',
        'data.seed: expected path.to.key=value',
        'x.yaml: a file is given as config=x.yaml',
        'config: expected config=PATH (argument config=)',
      ],
    );
    assert.deepEqual(await messageOf([`config=${path}`], reading), [
      `${path}: Map keys must be unique (${path}:3)`,
    ]);
    assert.deepEqual(await messageOf([`config=${folder}/none.yaml`], reading), [
      `config: cannot read ${folder}/none.yaml: no such file or directory`,
    ]);
  });

  it('refuses a file without an end', async function () {
    if (!existsSync('/dev/zero')) this.skip();
    assert.deepEqual(await messageOf(['config=/dev/zero'], reading), [
      '/dev/zero: more than 1048576 characters',
    ]);
  });

  it('follows references between keys and misses values that are mandatory', async () => {
    const items = [
      'trainer.max_steps=7',
      'sft.max_steps=${trainer.max_steps}',
      'trainer.project_name=cx',
      'trainer.experiment_name=${trainer.project_name}-${sft.max_steps}',
      'worker.rollout.val_override_config={n: "${worker.rollout.n}"}',
      'worker.rollout.n=3',
    ];
    const { trainer, sft, worker } = await read(...items);
    assert.equal(sft.maxSteps, 7);
    assert.equal(trainer.experimentName, 'cx-7');
    assert.deepEqual(worker.rollout.valOverrideConfig, { n: 3 });
    const wrong = [
      'data.train_files=???',
      'data.prompt_key=${data.none}',
      'data.answer_key=${data.image_key}',
      'data.image_key=${data.answer_key}',
      'data.video_key=a${data}',
      'worker.rollout.n=2',
    ];
    assert.deepEqual(await messageOf(wrong, reading), [
      'data.train_files: mandatory, and not given (argument data.train_files=???)',
      'data.prompt_key: ${data.none} is not given (argument data.prompt_key=${data.none})',
      'data.answer_key: ${data.image_key} refers to itself (argument data.answer_key=${data.image_key})',
      'data.image_key: ${data.answer_key} refers to itself (argument data.image_key=${data.answer_key})',
      'data.video_key: ${data} is a section (argument data.video_key=a${data})',
    ]);
  });

  it('takes data in a file of any form, with a split', async () => {
    mkdirSync(join(folder, 'model'));
    for (const name of ['rows.csv', 'rows.json', 'rows.parquet', 'rows.arrow']) {
      const data = file(name);
      const items = [
        `data.train_files=${data}@train`,
        `data.val_files=${data}`,
        'worker.actor.model.model_path=model',
        'worker.reward.reward_function=closed',
        'worker.rollout.n=2',
      ];
      const options = { purpose: 'train', rewards: ['closed'], cwd: folder } as const;
      assert.equal((await configFrom(items, options)).config.data.valFiles, data);
    }
  });

  it('takes lists and patterns of data, each with a split, and names those that are missing', async () => {
    mkdirSync(join(folder, 'model'));
    for (const name of ['a.jsonl', 'b.jsonl', 'c@d.jsonl']) file(name);
    const options = { purpose: 'train', rewards: ['closed'], cwd: folder } as const;
    const items = [
      'data.train_files=[a.jsonl@train, "?.jsonl", owner/name@test]',
      'data.val_files=*.jsonl',
      'sft.train_files=[]',
      'worker.rollout.n=2',
      'worker.actor.model.model_path=model',
      'worker.reward.reward_function=closed',
    ];
    const { config } = await configFrom(items, options);
    const { data } = Config.encode(config) as { data: Record<string, unknown> };
    assert.deepEqual(data['train_files'], ['a.jsonl@train', '?.jsonl', 'owner/name@test']);
    assert.equal(data['val_files'], '*.jsonl');
    const wrong = [
      'data.train_files=[a.jsonl, none.jsonl, c@d.jsonl, x*.jsonl, ""]',
      'data.val_files=a@b@c,d',
      'trainer.max_steps=1',
    ];
    const lines = await messageOf([...items, ...wrong], options);
    assert.deepEqual(lines, [
      'data.train_files: no such file or directory: none.jsonl; no file matches: x*.jsonl; an empty name ' +
        `(argument ${wrong[0]})`,
      `data.val_files: more than one @: a@b@c,d (a list is written as [a,b]) (argument ${wrong[1]})`,
    ]);
    assert.deepEqual(
      await messageOf([...items, 'data.train_files=[]', 'data.val_files={}'], options),
      [
        'data.val_files: expected a string or a list of them, got a mapping (argument data.val_files={})',
        'data.train_files: needed and not set (argument data.train_files=[])',
      ],
    );
    assert.deepEqual(await messageOf([...items, 'data.val_files=[1, [2]]'], options), [
      'data.val_files[1]: expected a string, got [2] (argument data.val_files=[1, [2]])',
    ]);
  });

  it('accepts what it printed, and derives the same again', async () => {
    file('reward.ts');
    const options = { ...reading, cwd: folder };
    const items = ['worker.reward.reward_function=./reward.ts:score', 'worker.rollout.n=4'];
    const { config } = await configFrom(items, options);
    const printed = file('printed.yaml', JSON.stringify(Config.encode(config), null, 2));
    assert.deepEqual((await configFrom([`config=${printed}`], options)).config, config);
  });

  describe('of the configs that CX-Mind and EasyR1 ship', () => {
    it('takes CX-Mind’s file unchanged, all of whose keys have an effect', async () => {
      const { config, warnings } = await configFrom([`config=${fixtures}/cx-mind.yaml`], reading);
      assert.equal(config.algorithm.klPenalty, 'low_var_kl');
      assert.equal(config.algorithm.klCoef, 0.01);
      assert.equal(config.worker.actor.klCoef, 0.01);
      assert.equal(config.worker.rollout.topP, 0.99);
      assert.equal(config.worker.actor.globalBatchSizePerDevice, 80);
      assert.deepEqual(warnings, ['no effect here: worker.actor.model.trust_remote_code']);
    });

    it('takes EasyR1’s file unchanged', async () => {
      const { config } = await configFrom([`config=${fixtures}/easy-r1.yaml`], reading);
      assert.equal(config.worker.actor.model.lora.excludeModules, '.*visual.*');
      assert.deepEqual(config.worker.rollout.valOverrideConfig, {
        temperature: 0.6,
        top_p: 0.95,
        n: 1,
      });
    });

    it('trains from CX-Mind’s file once the model, the data and a reward are named', async () => {
      mkdirSync(join(folder, 'model'));
      const data = file('closed.jsonl');
      const items = [
        `config=${fixtures}/cx-mind.yaml`,
        `data.train_files=${data}`,
        `data.val_files=${data}@train`,
        'worker.actor.model.model_path=model',
        'worker.reward.reward_function=closed',
      ];
      const { config } = await configFrom(items, {
        purpose: 'train',
        rewards: ['closed'],
        cwd: folder,
      });
      assert.equal(config.worker.actor.model.modelPath, join(folder, 'model'));
      assert.equal(config.worker.reward.rewardFunction, 'closed');
    });

    it('names the reward file of CX-Mind’s config, which no longer comes with it', async () => {
      const lines = await messageOf([`config=${fixtures}/cx-mind.yaml`], {
        purpose: 'train',
        rewards: ['closed', 'open'],
      });
      const reward = lines.find((line) => line.startsWith('worker.reward.reward_function'));
      assert.match(reward!, /no such file or directory: .*openQA\.py .*yaml:85\)/);
    });
  });
});
