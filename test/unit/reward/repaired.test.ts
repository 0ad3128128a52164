import assert from 'node:assert/strict';
import { resolveReward } from '../../../src/reward/registry.ts';
import type { RewardParts } from '../../../src/reward/reward.ts';

type Form = 'faithful' | 'repaired';

function chain(...texts: readonly string[]): string {
  return texts
    .map((text, i) => (i % 2 === 0 ? `<think>${text}</think>` : `<answer>${text}</answer>`))
    .join('');
}

async function both(
  name: string,
  response: string,
  groundTruth: string,
): Promise<Record<Form, RewardParts>> {
  const score = async (form: Form): Promise<RewardParts> => {
    const reward = await resolveReward(name, { form });
    const [parts] = await reward.score([{ response, responseLength: 1, groundTruth }]);
    return parts!;
  };
  return { faithful: await score('faithful'), repaired: await score('repaired') };
}

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
});
