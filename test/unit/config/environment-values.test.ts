import assert from 'node:assert/strict';
import fc from 'fast-check';
import { isRight } from 'fp-ts/lib/Either.js';
import { configFrom, type LoadOptions, type LoadedConfig } from '../../../src/config/load.ts';
import { Config } from '../../../src/config/schema.ts';
import { CxmindError } from '../../../src/errors.ts';
import { withVariables } from '../../support/environment.ts';

const reading: LoadOptions = { purpose: null };
const kwargs = 'worker.reward.reward_function_kwargs';

function load(items: readonly string[], variables: Record<string, string>): Promise<LoadedConfig> {
  return withVariables(variables, () => configFrom(items, reading));
}

describe('values of the environment in a config', () => {
  it('reach the run, and are written as the references they were read by', async () => {
    const items = [
      `${kwargs}.auth=\${oc.env:CX_VALUE}`,
      `${kwargs}.url=https://me:\${CX_VALUE}@host/x`,
      `${kwargs}.list=[a, "\${env:CX_VALUE,b}"]`,
      `${kwargs}.copy=\${${kwargs}.list}`,
      'trainer.seed=${CX_SEED}',
      'worker.actor.model.model_path=${CX_MODEL}',
    ];
    const variables = { CX_VALUE: 'hidden-value', CX_SEED: '7', CX_MODEL: 'owner/model' };
    const { config } = await load(items, variables);
    const { rewardFunctionKwargs } = config.worker.reward;
    assert.deepEqual(rewardFunctionKwargs, {
      auth: 'hidden-value',
      url: 'https://me:hidden-value@host/x',
      list: ['a', 'hidden-value'],
      copy: ['a', 'hidden-value'],
    });
    assert.equal(config.trainer.seed, 7);
    const written = Config.encode({ ...config, trainer: { ...config.trainer, maxSteps: 3 } });
    const text = JSON.stringify(written);
    assert.doesNotMatch(text, /hidden-value|owner\/model/);
    assert.match(text, /"auth":"\$\{oc.env:CX_VALUE\}"/);
    assert.match(text, /"url":"https:\/\/me:\$\{CX_VALUE\}@host\/x"/);
    assert.match(text, /"seed":"\$\{CX_SEED\}"/);
    // derived from the model's path
    assert.match(text, /"tokenizer_path":"\$\{CX_MODEL\}"/);
  });

  it('are there again when what was written is read', async () => {
    const items = [
      `${kwargs}.auth=\${CX_VALUE}`,
      'trainer.seed=${CX_SEED}',
      'data.seed=${trainer.seed}',
    ];
    const variables = { CX_VALUE: 'hidden-value', CX_SEED: '7' };
    const { config } = await load(items, variables);
    const flat = (tree: object, prefix = ''): string[] =>
      Object.entries(tree).flatMap(([key, value]: [string, unknown]) =>
        typeof value === 'object' && value !== null && !Array.isArray(value)
          ? flat(value, `${prefix}${key}.`)
          : [`${prefix}${key}=${JSON.stringify(value)}`],
      );
    const again = await load(flat(Config.encode(config)), variables);
    assert.deepEqual(again.config, config);
  });

  it('are written so in every stage of a curriculum', async () => {
    const stage = (name: string, more = ''): string =>
      `{name: ${name}, steps: 1, data: {train_files: x}, overrides: {worker: {reward: {reward_function_kwargs: {key: "\${CX_VALUE}"${more}}}}}}`;
    const items = [
      `curriculum=[${stage('a')}, ${stage('b', ', url: "x${CX_VALUE}y"')}]`,
      'trainer.project_name=${CX_PROJECT}',
    ];
    const { config, stages } = await load(items, {
      CX_VALUE: 'hidden-value',
      CX_PROJECT: 'projects',
    });
    assert.equal(stages.length, 2);
    for (const one of [config, ...stages.map((each) => each.config)]) {
      assert.doesNotMatch(JSON.stringify(Config.encode(one)), /hidden-value|"projects"/);
    }
  });

  it('are named by their references where they are wrong', async () => {
    const wrong = load(['trainer.seed=${CX_VALUE}', 'trainer.max_steps=x${CX_VALUE}'], {
      CX_VALUE: 'hidden-value',
    });
    await assert.rejects(wrong, (error) => {
      assert.ok(error instanceof CxmindError);
      assert.doesNotMatch(error.message, /hidden-value/);
      assert.match(error.message, /trainer.seed: expected .*, got \$\{CX_VALUE\}/);
      return true;
    });
  });

  it('never stand in what is written, whatever they are and wherever they come in', async () => {
    const texts = fc.string({ unit: 'grapheme-ascii', minLength: 6, maxLength: 20 });
    const value = texts.filter((text) => /^[^$]*[a-z]{3}[^$]*$/.test(text) && text.trim() === text);
    const places = ['${CX_ANY}', 'https://u:${CX_ANY}@h', '["${CX_ANY}"]', '{k: {l: "${CX_ANY}"}}'];
    await fc.assert(
      fc.asyncProperty(value, fc.constantFrom(...places), async (any, place) => {
        const { config } = await load([`${kwargs}.p=${place}`], { CX_ANY: any });
        const { worker } = Config.encode(config) as {
          worker: { reward: { reward_function_kwargs: unknown } };
        };
        const text = JSON.stringify(worker.reward.reward_function_kwargs);
        assert.ok(!text.includes(JSON.stringify(any)), any);
        assert.ok(text.includes('${CX_ANY}'), any);
      }),
      { numRuns: 25 },
    );
  });

  it('are hidden where the shell put them in, too', async () => {
    const items = [`${kwargs}.key=sk-123456789`, `${kwargs}.url=http://me:pass@host`];
    const { config } = await load(items, {});
    const text = await withVariables({ CX_API_KEY: 'sk-123456789' }, () =>
      Promise.resolve(JSON.stringify(Config.encode(config))),
    );
    assert.match(text, /"key":"\$\{CX_API_KEY\}","url":"http:\/\/\*\*\*@host"/);
    assert.ok(isRight(Config.decode(Config.encode(config))));
  });
});
