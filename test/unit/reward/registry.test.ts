import assert from 'node:assert/strict';
import { join } from 'node:path';
import { builtInGate, builtInRewards, resolveReward } from '../../../src/reward/registry.ts';
import { rewardInput } from '../../support/reward-input.ts';
import { TemporaryDirectory } from '../../support/temporary-directory.ts';

const inputs = ['a', 'bb'].map((response) =>
  rewardInput({ response, responseLength: response.length, groundTruth: 'bb' }),
);

const dapoLimits = {
  max_response_length: 64,
  overlong_buffer_length: 16,
  overlong_penalty_factor: 1,
};

describe('resolveReward', () => {
  const folder = new TemporaryDirectory();
  after(() => folder[Symbol.dispose]());

  /** The path of a file with the given source, unlike any imported before. */
  function file(source: string): string {
    return folder.write(`${String(Math.random()).slice(2)}.ts`, source);
  }

  async function rejects(promise: Promise<unknown>, code: string, message: RegExp): Promise<void> {
    await assert.rejects(promise, { code, message });
  }

  /** Scores the two inputs with a file whose function `f` has the given body. */
  async function scoring(body: string, head = ''): Promise<unknown> {
    const path = file(`${head}\nexport const f = (inputs: any, kwargs: any): any => ${body};`);
    const reward = await resolveReward(`${path}:f`, { bonus: 2 });
    return reward.score(inputs);
  }

  it('gives every built-in the parts that its gate needs', async () => {
    for (const name of builtInRewards) {
      const gate = builtInGate(name);
      const reward = await resolveReward(name, name === 'dapo' ? dapoLimits : {});
      const [parts] = await reward.score(inputs);
      const needed = gate === undefined ? [] : [gate.key, 'base_reward', ...gate.bonus];
      for (const key of ['overall', ...needed]) assert.ok(key in parts!, `${name} ${key}`);
      assert.equal(gate !== undefined, /^(closed|open)(_think)?$/.test(name));
    }
  });

  it('passes options on to the score', async () => {
    const answer = '<think>a</think><answer>B ✅</answer>';
    const reward = await resolveReward('closed', { process_weight: 0.25, format_weight: 0.4 });
    const wordy = `x${answer}`;
    const scores = await reward.score(
      [answer, wordy].map((response) =>
        rewardInput({ response, responseLength: 1, groundTruth: answer }),
      ),
    );
    assert.equal(scores[0]!['process'], 0.25);
    assert.equal(scores[1]!['base_reward'], 0.6);
  });

  it('takes an answer that is not text as its JSON text', async () => {
    const reward = await resolveReward('math');
    const scores = await reward.score(
      [3, 0.5, [1, 2], true].map((groundTruth) =>
        rewardInput({
          response: `\\boxed{${JSON.stringify(groundTruth)}}`,
          responseLength: 1,
          groundTruth,
        }),
      ),
    );
    assert.deepEqual(
      scores.map(({ accuracy }) => accuracy),
      [1, 1, 1, 1],
    );
  });

  it('gives a function of a file the answer as it is', async () => {
    const path = file(
      'export const f = (inputs: any): any => inputs.map((x: any) => x.groundTruth);',
    );
    const reward = await resolveReward(`${path}:f`);
    const groundTruth = { overall: 0.25, acc: 1 };
    const scores = await reward.score([
      rewardInput({ response: '', responseLength: 0, groundTruth }),
    ]);
    assert.deepEqual(scores, [groundTruth]);
  });

  it('wants the limits of dapo, which have no default', async () => {
    await rejects(
      resolveReward('dapo', { max_response_length: 64 }),
      'CONFIG_INVALID',
      /overlong_buffer_length: expected a number >= 0, got undefined\n.*overlong_penalty_factor/,
    );
  });

  it('names the nearest reward, and every wrong option', async () => {
    await rejects(resolveReward('close'), 'CONFIG_INVALID', /got 'close', nearest is 'closed'/);
    await rejects(
      resolveReward('closed', { format_wieght: 0.1, alpha: 2, form: 'exact' }),
      'CONFIG_INVALID',
      /format_wieght: unknown key, nearest is format_weight; it takes .*\n.*form: expected .*\n.*alpha: expected a number in \[0, 1\], got 2/,
    );
  });

  it('calls a batch function once, with kwargs', async () => {
    const body =
      'inputs.map((x: any) => ({ overall: kwargs.bonus * inputs.length, n: x.responseLength }))';
    assert.deepEqual(await scoring(body), [
      { overall: 4, n: 1 },
      { overall: 4, n: 2 },
    ]);
  });

  it('calls a sequential, async function once a response', async () => {
    const body = 'Promise.resolve({ overall: Number(inputs.response === inputs.groundTruth) })';
    assert.deepEqual(await scoring(body, `export const REWARD_TYPE = 'sequential';`), [
      { overall: 0 },
      { overall: 1 },
    ]);
  });

  it('takes the function main and the name REWARD_NAME', async () => {
    const path = file(`export const REWARD_NAME = 'mine'; export function main() { return []; }`);
    assert.equal((await resolveReward(path)).name, 'mine');
  });

  it('says what is wrong with a returned value, and with which response', async () => {
    for (const [body, message] of [
      [
        '[{ overall: 1 }]',
        /:f: a batch of 2 responses: expected an array of 2 maps, got an array of 1/,
      ],
      ['null', /expected an array of 2 maps, got null/],
      ['[{ overall: 1 }, 3]', /:f: response 1: expected a map of numbers, got 3/],
      ['[{ overall: 1 }, { acc: 1 }]', /response 1: no 'overall'/],
      [
        '[{ overall: NaN }, { overall: 1 }]',
        /response 0: 'overall' is not a finite number but NaN/,
      ],
      [
        '[{ overall: 1, a: "x" }, { overall: 1 }]',
        /response 0: 'a' is not a finite number but string/,
      ],
      ['inputs.nothing.at(0)', /:f: a batch of 2 responses: threw: Cannot read/],
    ] as const) {
      await rejects(scoring(body), 'REWARD_INVALID', message);
    }
  });

  it('says what is wrong with a file', async () => {
    await rejects(
      resolveReward(join(folder.path, 'none.ts:f')),
      'REWARD_INVALID',
      /no such file: .*none\.ts/,
    );
    await rejects(resolveReward(file('throw new Error("oh")')), 'REWARD_INVALID', /not load: oh/);
    await rejects(
      resolveReward(`${file('export function score() {}')}:scores`),
      'REWARD_INVALID',
      /exports no function 'scores', nearest is 'score'/,
    );
    await rejects(
      scoring('[]', `export const REWARD_TYPE = 'single';`),
      'REWARD_INVALID',
      /REWARD_TYPE is neither/,
    );
  });

  it('runs the example', async () => {
    const path = new URL('../../../examples/custom-reward.ts', import.meta.url).pathname;
    const reward = await resolveReward(`${path}:concise`, { max_tokens: 10 });
    const scores = await reward.score(
      ['<answer>B</answer>', 'B'].map((response) =>
        rewardInput({ response, responseLength: 5, groundTruth: '<answer>B</answer>' }),
      ),
    );
    assert.deepEqual(scores, [
      { overall: 0.75, accuracy: 1, length: 0.5 },
      { overall: 0, accuracy: 0, length: 0.5 },
    ]);
  });
});
