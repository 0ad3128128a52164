import assert from 'node:assert/strict';
import { builtInReward } from '../../../src/reward/registry.ts';
import type { Form } from '../../../src/reward/options.ts';
import type { RewardParts } from '../../../src/reward/reward.ts';
import { chain } from '../../support/reward-input.ts';

async function both(
  name: string,
  response: string,
  groundTruth: string,
  kwargs: object = {},
): Promise<Record<Form, RewardParts>> {
  const score = async (form: Form): Promise<RewardParts> => {
    const reward = builtInReward(name, { form, ...kwargs });
    const [parts] = await reward.score([{ response, responseLength: 1, groundTruth }]);
    return parts!;
  };
  return { faithful: await score('faithful'), repaired: await score('repaired') };
}

/** Limits of `dapo`, which has no default for them. */
const limits = { max_response_length: 9, overlong_buffer_length: 1, overlong_penalty_factor: 1 };
const truth = chain('The heart is small.', 'A ❌', 'A base is white.', 'B ✅');

describe('the repaired form against the faithful one', () => {
  it('rejects junk between pairs', async () => {
    const { faithful, repaired } = await both(
      'closed',
      '<think>a</think>junk<think>b</think><answer>B ✅</answer>',
      truth,
    );
    assert.deepEqual([faithful['format'], repaired['format']], [1, 0]);
  });

  it('reads only the letter that an answer begins with', async () => {
    const wordy = await both('closed', chain('a', 'The option is B'), chain('a', 'E ✅'));
    assert.deepEqual([wordy.faithful['acc'], wordy.repaired['acc']], [1, 0]);
    const named = await both('closed', chain('a', 'Option B ✅'), truth);
    assert.deepEqual([named.faithful['acc'], named.repaired['acc']], [1, 1]);
  });

  it('pays no step-answer bonus for a lone right rejection or a bare cross', async () => {
    for (const answer of ['A ❌', '❌']) {
      const { faithful, repaired } = await both('closed', chain('a', answer), truth);
      assert.deepEqual([faithful['process'], repaired['process']], [0.5, 0], answer);
    }
  });

  it('pays the step-answer bonus only when all options of the reference are judged', async () => {
    const short = await both('closed', chain('a', 'B ✅'), truth);
    assert.deepEqual([short.faithful['process'], short.repaired['process']], [0.5, 0]);
    const whole = await both('closed', chain('a', 'A ❌', 'b', 'B ✅'), truth);
    assert.deepEqual([whole.faithful['process'], whole.repaired['process']], [0.5, 0.5]);
  });

  it('reads letters up to G without bonuses, too', async () => {
    const { faithful, repaired } = await both('closed_plain', chain('a', 'F'), chain('a', 'F ✅'));
    assert.deepEqual([faithful['acc'], repaired['acc']], [0, 1]);
  });

  it('strips marks from final lists', async () => {
    for (const name of ['open', 'open_plain']) {
      const { faithful, repaired } = await both(name, chain('a', 'Edema ✅'), chain('a', 'Edema'));
      assert.deepEqual([faithful['f1'], repaired['f1']], [0, 1]);
    }
  });

  it('compares a rightly affirmed disease with the reference’s own step on it', async () => {
    const step = 'Vessels are congested at both bases.';
    const reference = chain('Candidates.', 'Edema', step, 'Edema ✅', 'Summary.', 'Edema');
    const { faithful, repaired } = await both('open', reference, reference);
    assert.ok(faithful['reason']! < 0.5);
    assert.ok(Math.abs(repaired['reason']! - 1) < 1e-12);
  });

  it('keeps the sides of a fraction together, rounds decimals, and knows functions by name', async () => {
    const box = (answer: string): string => `<think>a</think>\\boxed{${answer}}`;
    for (const [given, answer, faithfully, rightly] of [
      ['x+\\frac{1}{2}', '\\frac{x+1}{2}', 1, 0],
      ['\\frac{x}{2}+\\frac{1}{2}', '\\frac{x+1}{2}', 0, 1],
      ['x(x+1)', 'x^2+x', 1, 1],
      ['n(n-1)!', 'n!', 0, 1],
      ['2\\cos(x)', '\\cos(x)+\\cos(x)', 0, 1],
      ['2\\sqrt[3]{x}', '\\sqrt[3]{x}+\\sqrt[3]{x}', 1, 1],
      ['\\sqrt[3]{8x}', '2\\sqrt[3]{x}', 0, 1],
      ['(xy)^2', 'xy^2', 0, 0],
      ['x_1+x_2', 'x_3', 0, 0],
      ['0.1+0.2', '0.3', 0, 1],
      ['\\sqrt[3]{5}', '\\sqrt{5}', 1, 0],
      ['\\mathbf{i}+j', 'i+j', 0, 1],
    ] as const) {
      const { faithful, repaired } = await both('math', box(given), answer);
      assert.deepEqual([faithful['accuracy'], repaired['accuracy']], [faithfully, rightly], given);
    }
  });

  it('never takes a missing answer for a right one', async () => {
    const boxless = await both('math', '<think>a</think>5', 'None');
    assert.deepEqual([boxless.faithful['accuracy'], boxless.repaired['accuracy']], [1, 0]);
    const tagless = await both('r1v', '5', '5');
    assert.deepEqual([tagless.faithful['accuracy'], tagless.repaired['accuracy']], [1, 0]);
    const silent = await both('dapo', 'well', '[INVALID]', limits);
    assert.deepEqual([silent.faithful['accuracy'], silent.repaired['accuracy']], [1, -1]);
  });

  it('reads answers where they stand: of several lines, before a long tail, of a lone digit', async () => {
    const lines = await both('r1v', '<think>a</think><answer>\n5\n</answer>\n', '5');
    assert.deepEqual(lines.faithful, { overall: 0, format: 0, accuracy: 0 });
    assert.deepEqual(lines.repaired, { overall: 1, format: 1, accuracy: 1 });
    const tail = await both('dapo', `Answer: 5\n${'.'.repeat(300)}`, '5', limits);
    assert.deepEqual([tail.faithful['accuracy'], tail.repaired['accuracy']], [-1, 1]);
    const digits = await both('android_gui', 'Of 10 and 25, card 2.', '2');
    assert.deepEqual([digits.faithful['accuracy'], digits.repaired['accuracy']], [0, 1]);
  });
});
