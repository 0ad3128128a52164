import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { judgeActor, type JudgeProps } from '../../../actors/judge/actor.ts';
import { rewardPlans } from '../../../actors/trainer/settings.ts';
import type { Config } from '../../../src/config/schema.ts';
import { Tokenizer } from '../../../src/text/tokenizer.ts';
import { effectOf } from '../../support/effect.ts';
import { goldenPath } from '../../support/golden.ts';
import { JudgeServer } from '../../support/judge-server.ts';
import { scoreRequest } from '../../support/reward-input.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';
import { keepingLogger } from '../../support/tiny-run.ts';
import { assertChanges } from './changes.ts';

const KEY = 'CXMIND_TEST_JUDGE_KEY';

describe('a key of the config, of a judge,', () => {
  const { signal } = new AbortController();
  const tokenizer = Tokenizer.load(goldenPath('micro-vl'));
  const request = scoreRequest(tokenizer, ['flaky', 'sound', 'mute'], 'B');
  let server: JudgeServer;
  let folder: TemporaryDirectory;
  let tries = 0;
  /** Key whose effect is shown. */
  let shown = '';
  before(async () => {
    process.env[KEY] = 'key';
    folder = new TemporaryDirectory();
    server = await JudgeServer.open(async ({ asked }) => {
      if (shown === 'timeout_seconds') return { fault: 'stall' };
      // Requests that may be under way together are, unless the second takes very long.
      for (let i = 0; shown === 'max_concurrency' && server.most < 2 && i < 20; i++)
        await delay(10);
      if (asked.includes('flaky') && tries++ === 0) {
        return { status: 503, headers: { 'retry-after': '0' } };
      }
      return asked.includes('mute') ? 'No word.' : 'Score: 5, at first: 6';
    });
  });
  after(async () => {
    // oxlint-disable-next-line typescript/no-dynamic-delete -- a variable of this test alone
    delete process.env[KEY];
    await server[Symbol.asyncDispose]();
    folder[Symbol.dispose]();
  });

  /** Requests and scores of a judge; of two, or of one asked twice, where these may share answers. */
  const judged = async (config: Config): Promise<unknown> => {
    rmSync(join(folder.path, 'answers.jsonl'), { force: true });
    server.calls.length = server.most = tries = 0;
    const [{ source }] = rewardPlans(config) as [ReturnType<typeof rewardPlans>[number]];
    const props = { ...(source.props as JudgeProps), firstDelayMs: 1 };
    const scores: unknown[] = [];
    for (let one = 0; one < (shown === 'cache_path' ? 2 : 1); one++) {
      const environment = { logger: keepingLogger().logger } as never;
      const actor = await judgeActor.create(props, environment);
      for (let time = 0; time < (shown === 'cache_size' ? 2 : 1); time++) {
        scores.push(await actor.score(request, { signal } as never));
      }
    }
    const calls = server.calls.map(({ path, headers, request }) =>
      JSON.stringify([path, headers.authorization, request]),
    );
    return [scores, calls.toSorted(), shown === 'max_concurrency' && server.most];
  };

  const items = (judge: object): string[] => [
    `worker.actor.model.model_path=${goldenPath('micro-vl')}`,
    'worker.reward.invalid_responses=skip',
    `worker.reward.reward_functions=${JSON.stringify([{ name: 'judge', judge }])}`,
  ];

  const patience = { timeout_seconds: 0.2, max_retries: 0 };
  effectOf(
    'worker.reward.reward_functions[].judge.base_url',
    'worker.reward.reward_functions[].judge.model',
    'worker.reward.reward_functions[].judge.api_key_env',
    'worker.reward.reward_functions[].judge.system_prompt',
    'worker.reward.reward_functions[].judge.prompt_template',
    'worker.reward.reward_functions[].judge.score_pattern',
    'worker.reward.reward_functions[].judge.max_score',
    'worker.reward.reward_functions[].judge.temperature',
    'worker.reward.reward_functions[].judge.max_tokens',
    'worker.reward.reward_functions[].judge.max_concurrency',
    'worker.reward.reward_functions[].judge.max_retries',
    'worker.reward.reward_functions[].judge.timeout_seconds',
    'worker.reward.reward_functions[].judge.cache_size',
    'worker.reward.reward_functions[].judge.cache_path',
    'worker.reward.reward_functions[].judge.on_error',
    'worker.reward.reward_functions[].judge.error_value',
    'worker.reward.reward_functions[].judge.input_cost_per_token',
    'worker.reward.reward_functions[].judge.output_cost_per_token',
  );
  for (const [key, value] of [
    ['base_url', 'BASE/v2'],
    ['model', 'b'],
    ['api_key_env', KEY],
    ['system_prompt', 'Be kind.'],
    ['prompt_template', '{{ response }}'],
    ['score_pattern', 'first: (\\d+)'],
    ['max_score', 5.5],
    ['temperature', 0.5],
    ['max_tokens', 8],
    ['max_concurrency', 1],
    ['max_retries', 0],
    ['timeout_seconds', 0.1],
    ['cache_size', 0],
    ['cache_path', 'FOLDER/answers.jsonl'],
    ['on_error', 'value'],
    ['error_value', 2],
    ['input_cost_per_token', 0.1],
    ['output_cost_per_token', 0.1],
  ] as const) {
    it(`changes what it asks, or the scores: ${key}=${value}`, () => {
      const given = typeof value === 'number' ? value : value.replace('BASE', server.baseUrl);
      const own = typeof given === 'number' ? given : given.replace('FOLDER', folder.path);
      const beside = { error_value: { on_error: 'value' }, timeout_seconds: patience }[
        key as string
      ];
      shown = key;
      const usual = { model: 'a', base_url: server.baseUrl, ...beside };
      return assertChanges(judged, items({ ...usual, [key]: own })[2]!, ...items(usual));
    });
  }
});
