import assert from 'node:assert/strict';
import sharp from 'sharp';
import type { Prompt } from '../../../actors/messages.ts';
import type { EpisodeProps } from '../../../actors/rollout/actor.ts';
import type { Group } from '../../../actors/rollout/protocol.ts';
import { planRun } from '../../../actors/trainer/plan.ts';
import { environmentTools } from '../../../actors/environment/environments.ts';
import { configFrom } from '../../../src/config/load.ts';
import type { Config } from '../../../src/config/schema.ts';
import { keyOf } from '../../../src/rng.ts';
import type { PatchLevels } from '../../../src/tensor/patch-levels.ts';
import { Tokenizer } from '../../../src/text/tokenizer.ts';
import { zeros } from '../../../src/tensor/tensor.ts';
import type { BitDepth } from '../../../src/vision/sample-depth.ts';
import { effectOf, effects } from '../../support/effect.ts';
import { rolloutOver } from '../../support/made-rollout.ts';
import { goldenPath } from '../../support/golden.ts';
import { loadGoldenModel, textPrompt, type GoldenModel } from '../../support/golden-model.ts';
import { keepingLogger } from '../../support/tiny-run.ts';
import { changing, configOf } from './changes.ts';

const { signal } = new AbortController();
const { logger } = keepingLogger();
const MODEL = goldenPath('micro-vl');
const tokenizer = Tokenizer.load(MODEL);

/** Three turns at most, of a token or a few each. */
const usual = [
  'worker.rollout.multi_turn.enable=true',
  'worker.rollout.multi_turn.environment=test/support/counting-environment.ts:counting',
  `worker.actor.model.model_path=${MODEL}`,
  'data.max_response_length=200',
];

describe('a key of the config, of several turns', () => {
  let model: GoldenModel;
  before(async () => {
    model = await loadGoldenModel('micro-vl');
  });

  const play = async (
    config: Config,
    prompts: readonly string[] = ['a', 'b'],
    episodes: EpisodeProps | null = planRun(config).rollout.episodes,
    { images = [], bitDepth = 16 }: Partial<Pick<Prompt, 'images' | 'bitDepth'>> = {},
  ): Promise<Group[]> => {
    // One token in three ends a turn.
    const third = { length: model.config.text.vocabSize / 3 };
    const stopTokens = Array.from(third, (_, i) => 3 * i);
    const given = { tokenizerPath: MODEL, stopTokens, episodes };
    await using actor = rolloutOver(model, given, [630, 631]).actor;
    const request = {
      prompts: prompts.map((prompt, i) => ({
        ...{ promptId: prompt, input: { ...textPrompt([i + 1, 2]), grids: [] }, bitDepth },
        seeds: [0, 1].map((sample) => keyOf('turns', prompt, sample)),
        task: { prompt, images, groundTruth: '', columns: {} },
      })),
      ...{ sampling: { temperature: 1, topP: 1, topK: -1 }, controls: null, ignoreEos: false },
      ...{ maxTokens: config.data.maxResponseLength, policyVersion: 1 },
      progress: zeros('i32', [2]),
    };
    return (await actor.generate(request, { signal } as never)).groups;
  };

  /** The text that the environment showed in each response. */
  const shown = async (config: Config): Promise<string[]> =>
    (await play(config)).flatMap(({ responses }) =>
      responses.map(({ tokenIds, episode }) =>
        tokenizer.decode([...tokenIds.data].filter((_, t) => episode?.mask.data[t] === 0)),
      ),
    );

  effects(
    'changes what the policy is shown',
    [
      'worker.rollout.multi_turn.environment_kwargs={word: answer}',
      'worker.rollout.multi_turn.max_assistant_turns=2',
      'worker.rollout.multi_turn.max_user_turns=1',
      'worker.rollout.multi_turn.max_tool_response_length=9',
      'worker.rollout.multi_turn.environment=test/support/counting-environment.ts:terse',
    ],
    changing(shown, ...usual),
  );

  effects(
    'changes what is left of a long message',
    ['worker.rollout.multi_turn.tool_response_truncate_side=right'],
    changing(shown, ...usual, 'worker.rollout.multi_turn.max_tool_response_length=9'),
  );

  effectOf('worker.rollout.multi_turn.enable');
  it('begins with the turn that there is without an environment, and goes on from it', async () => {
    const config = await configOf(...usual);
    const alone = await play(config, ['a', 'b'], null);
    const groups = await play(config);
    for (const [i, { responses }] of groups.entries()) {
      for (const [j, { tokenIds, logProbs, episode }] of responses.entries()) {
        const first = alone[i]!.responses[j]!;
        const length = first.tokenIds.data.length;
        assert.equal(first.episode, null);
        assert.deepEqual(tokenIds.data.subarray(0, length), first.tokenIds.data);
        assert.deepEqual(logProbs.data.subarray(0, length), first.logProbs.data);
        assert.equal(episode!.turns, 3);
        const { data: mask } = episode!.mask;
        assert.deepEqual(
          [...mask].map((sampled, t) => sampled === 1 || logProbs.data[t] === 0),
          [...mask].map(() => true),
        );
        // Two answers, and the policy's turn last.
        const runs = [...mask].filter((sampled, t) => t > 0 && sampled !== mask[t - 1]).length;
        assert.deepEqual([runs, mask.at(-1)], [4, 1]);
        const { texts } = episode!;
        assert.equal(texts.length, 5);
        const prompt = 'ab'[i]!;
        assert.deepEqual(
          [texts[1], texts[3]].map((text, turn) => text!.includes(`turn ${turn + 1} of ${prompt}`)),
          [true, true],
        );
      }
    }
    assert.deepEqual(await play(config), groups);
  });

  it('ends where an answer does not fit, with the policy’s turn last', async () => {
    const groups = await play(await configOf(...usual, 'data.max_response_length=30'));
    for (const { tokenIds, finishReason, episode } of groups.flatMap((one) => one.responses)) {
      assert.ok(tokenIds.data.length <= 30);
      assert.equal(finishReason, 'length');
      assert.equal(episode!.mask.data.at(-1), 1);
      assert.equal(episode!.problem, null);
    }
  });

  it('says why an environment broke an episode off, and leaves the others alone', async () => {
    const fault = 'worker.rollout.multi_turn.environment_kwargs={fault: throw}';
    const [bad, good] = await play(await configOf(...usual, fault), ['bad', 'b']);
    assert.deepEqual(
      bad!.responses.map(({ episode }) => [episode!.problem, episode!.turns]),
      [1, 2].map(() => ['a fault', 2]),
    );
    const [, untouched] = await play(await configOf(...usual), ['a', 'b']);
    // Other neighbours in a batch change the last bits of log-probabilities.
    const tokensOf = ({ responses }: Group): unknown => responses.map(({ tokenIds }) => tokenIds);
    assert.deepEqual(tokensOf(good!), tokensOf(untouched!));
  });

  effectOf(
    'worker.rollout.multi_turn.timeout_seconds',
    'worker.rollout.multi_turn.num_workers',
    'worker.rollout.multi_turn.max_parallel_calls',
    'worker.rollout.multi_turn.format',
    'worker.rollout.multi_turn.python',
  );
  it('reaches the environments', async () => {
    const items = [
      'timeout_seconds=2.5',
      'num_workers=3',
      'max_parallel_calls=7',
      'format=hermes',
      'python=pypy',
    ];
    const turns = items.map((item) => `worker.rollout.multi_turn.${item}`);
    const { environment } = planRun(await configOf(...usual, ...turns)).rollout.episodes!;
    const { maxParallelCalls, format, user } = environment;
    const { limitMs, workers, python } = user!;
    const reached = [limitMs, workers, maxParallelCalls, format, python];
    assert.deepEqual(reached, [2500, 3, 7, 'hermes', 'pypy']);
    const tools = await environmentTools(environment, logger, signal);
    assert.deepEqual(
      tools.map((tool) => tool.function.name),
      ['count'],
    );
  });

  effectOf('data.window');
  it('is how pictures of the environment are read: data.window', async () => {
    const windowOf = async (...items: string[]): Promise<unknown> =>
      planRun(await configOf(...usual, ...items)).rollout.episodes!.chat.window;
    assert.deepEqual(await windowOf('data.window=[-600, 1500]'), [-600, 1500]);
    assert.equal(await windowOf(), null);
  });

  it('has pictures of the environment read by the bit depth of those of the data', async () => {
    const mirror = 'environment=test/support/counting-environment.ts:mirror';
    const items = [`worker.rollout.multi_turn.${mirror}`, 'data.min_pixels=null'];
    const config = await configOf(...usual, ...items);
    const samples = new Uint16Array(56 * 56).fill(4095);
    const raw = { width: 56, height: 56, channels: 1 } as const;
    const picture = await sharp(samples, { raw }).toColourspace('grey16').png().toBuffer();
    const levelsBy = async (bitDepth: BitDepth): Promise<number[]> => {
      const [group] = await play(config, ['a'], undefined, { images: [picture], bitDepth });
      const { pixelValues } = group!.responses[0]!.episode!.media!;
      return [...new Set((pixelValues as PatchLevels).levels.data)];
    };
    assert.deepEqual(await levelsBy(12), [255]);
    assert.deepEqual(await levelsBy(16), [15]);
  });

  it('is refused where it contradicts another one', async () => {
    const enable = 'worker.rollout.multi_turn.enable=true';
    const refused = async (message: RegExp, ...items: string[]): Promise<void> =>
      assert.rejects(configFrom(items, { purpose: 'train' }), { code: 'CONFIG_INVALID', message });
    await refused(/multi_turn\.enable: true, but nothing answers/, enable);
    await refused(/it is not used without/, usual[1]!);
    await refused(
      /expected \.\/file\.ts:function .*, got "closed"/,
      enable,
      'worker.rollout.multi_turn.environment=closed',
    );
    const server = (items: string): string => `worker.rollout.mcp_servers=[{name: x, ${items}}]`;
    await refused(/x takes either a command or a url/, enable, server('args: []'));
    await refused(/they are not used without/, server('command: x'));
    await refused(/ignore_eos: a turn ends/, ...usual, 'worker.rollout.ignore_eos=true');
  });
});
