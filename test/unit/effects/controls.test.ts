import assert from 'node:assert/strict';
import type { RolloutActor } from '../../../actors/rollout/actor.ts';
import { rolloutProtocol, type Group } from '../../../actors/rollout/protocol.ts';
import { planRun } from '../../../actors/trainer/plan.ts';
import { silentReporter } from '../../../actors/trainer/report/reporter.ts';
import { generateGroups } from '../../../actors/trainer/sample.ts';
import { configFrom } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';
import { Tokenizer } from '../../../src/text/tokenizer.ts';
import { effectOf, effects } from '../../support/effect.ts';
import { fakeRef } from '../../support/fake-ref.ts';
import { goldenPath } from '../../support/golden.ts';
import { loadGoldenModel } from '../../support/golden-model.ts';
import { madePrompt, rolloutOver } from '../../support/made-rollout.ts';
import { assertChanges, configOf } from './changes.ts';

const { signal } = new AbortController();
const MODEL = goldenPath('micro-vl');
const tokenizer = Tokenizer.load(MODEL);

describe('a key of the config, about what responses may say', () => {
  let actor: RolloutActor;
  before(async () => {
    const reading = { stopTokens: tokenizer.eosIds, tokenizerPath: MODEL };
    ({ actor } = rolloutOver(await loadGoldenModel('micro-vl'), reading, [630, 631]));
  });
  after(() => actor[Symbol.dispose]());

  type Responses = Group['responses'];

  /** Responses to two prompts by the sampling of training, or of a validation. */
  const sampled = async (config: Config, of: 'step' | 'validation'): Promise<Responses> => {
    const prompts = [3, 4].map((token) => madePrompt(String(token), [token, 9]));
    const rollout = fakeRef('rollout', rolloutProtocol, {
      generate: (request) => actor.generate(request, { signal } as never),
    });
    const { sampling } = planRun(config)[of];
    const request = { sampling, maxTokens: 12, stream: ['test'], policyVersion: 1, signal };
    const groups = await generateGroups([rollout], prompts, request, silentReporter);
    return groups.flatMap(({ responses }) => responses);
  };
  const tokens = (responses: Responses): number[][] =>
    responses.map(({ tokenIds }) => [...tokenIds.data]);
  const answers = async (config: Config): Promise<number[][]> =>
    tokens(await sampled(config, 'step'));
  const texts = async (config: Config): Promise<string[]> =>
    (await answers(config)).map((ids) => tokenizer.decode(ids, { skipSpecialTokens: true }));

  effects(
    'changes the responses',
    [
      'worker.rollout.min_p=0.5',
      'worker.rollout.repetition_penalty=5',
      'worker.rollout.presence_penalty=2',
      'worker.rollout.frequency_penalty=-2',
    ],
    (item) => assertChanges(answers, item),
  );

  effectOf('worker.rollout.bad_words');
  it('keeps words out of the responses: worker.rollout.bad_words', async () => {
    const usual = await answers(await configOf());
    const [first] = usual[0]!;
    const word = tokenizer.decode([first!]);
    const changed = await configOf(`worker.rollout.bad_words=[${JSON.stringify(word)}]`);
    assert.ok((await answers(changed)).every((ids) => !ids.includes(first!)));
  });

  effectOf('worker.rollout.structured_outputs.regex', 'worker.rollout.structured_outputs.json');
  it('gives responses their form: worker.rollout.structured_outputs', async () => {
    const regex = 'grade [I-V]{1,3}';
    const form = await configOf(`worker.rollout.structured_outputs.regex=${regex}`);
    for (const text of await texts(form)) assert.match(text, new RegExp(`^${regex}$`));
    const schema = { enum: [7, 'x'] };
    const json = await configOf(`worker.rollout.structured_outputs.json=${JSON.stringify(schema)}`);
    for (const text of await texts(json)) assert.ok(schema.enum.includes(JSON.parse(text) as 7));
    // Log-probabilities are the model's, not those of what is left of its distribution.
    const [one] = await sampled(form, 'step');
    assert.ok(one!.logProbs.data.every((value) => value < 0));
  });

  it('names structured outputs that cannot be followed', async () => {
    const config = await configOf('worker.rollout.structured_outputs.regex=(a)\\1');
    assert.throws(() => planRun(config), {
      code: 'CONFIG_INVALID',
      message: /^worker\.rollout\.structured_outputs\.regex: /,
    });
  });

  it('keeps the best of the responses of a validation: best_of', async () => {
    const mean = ({ logProbs: { data } }: Responses[number]): number =>
      data.reduce((sum, value) => sum + value, 0) / data.length;
    const validated = async (given: string): Promise<Responses> =>
      sampled(await configOf(`worker.rollout.val_override_config=${given}`), 'validation');
    const all = await validated('{n: 5}');
    const best = await validated('{n: 2, best_of: 5}');
    const expected = [all.slice(0, 5), all.slice(5)].flatMap((group) =>
      group.toSorted((a, b) => mean(b) - mean(a)).slice(0, 2),
    );
    assert.deepEqual(tokens(best), tokens(expected));
  });

  it('refuses two forms, and fewer responses than are kept', async () => {
    const wrong = async (item: string): Promise<string> => {
      const { issues } = await configFrom(['worker.rollout.n=2', item], { purpose: null });
      return issues.map(({ path, expected }) => `${path}: ${expected}`).join('\n');
    };
    const forms = '{regex: a, json: {type: string}}';
    assert.match(
      await wrong(`worker.rollout.structured_outputs=${forms}`),
      /^worker\.rollout\.structured_outputs\.regex: a response has one form/,
    );
    assert.match(
      await wrong('worker.rollout.val_override_config={n: 3, best_of: 2}'),
      /^worker\.rollout\.val_override_config\.best_of: expected n = 3 or more, got 2/,
    );
  });
});
