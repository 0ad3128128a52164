import assert from 'node:assert/strict';
import { normalizeDapoAnswer, overlongPenalty } from '../../../src/reward/dapo.ts';
import { porterStem } from '../../../src/reward/porter.ts';
import { builtInReward } from '../../../src/reward/registry.ts';
import type { RewardParts } from '../../../src/reward/reward.ts';
import { bleu1, bleuTokens, rougeL, rougeTokens } from '../../../src/reward/text-metrics.ts';
import { assertClose } from '../../support/assert-close.ts';
import { chain } from '../../support/reward-input.ts';

async function scored(name: string, response: string, groundTruth: string): Promise<RewardParts> {
  const reward = builtInReward(name, { form: 'faithful' });
  const [parts] = await reward.score([{ response, responseLength: 1, groundTruth }]);
  return parts!;
}

const closedTruth = chain(
  'Heart size is normal, so option A is unlikely.',
  'A ❌',
  'There is a left lower lobe opacity. This suggests pneumonia.',
  'B ✅',
);

// [response, format, acc, process, reason, base, overall of closed_plain]
const closedRows: readonly (readonly [string, number, number, number, number, number, number])[] = [
  [
    chain(
      'The heart is normal in size.',
      'A ❌',
      'There is an opacity in the left lower lobe suggesting pneumonia.',
      'B ✅',
    ),
    ...([1, 1, 0.5, 0.6667, 1, 1] as const),
  ],
  [chain('There is a left lower lobe opacity.', 'B'), 1, 1, 0, 0.7584, 1, 1],
  [chain('Heart is enlarged.', 'A ✅'), 1, 0, 0, 0, 0.1, 0.1],
  [` ${chain('x', 'B ✅')}`, 0, 1, 0.5, 0, 0.9, 1],
  ['<think>a</think>junk<think>b</think><answer>B ✅</answer>\n', 1, 1, 0.5, 0.09331, 1, 0.9],
  [chain('x', 'The answer is B'), 1, 0, 0, 0, 0.1, 0.1],
  ['<THINK>x</THINK><ANSWER>B ✅</ANSWER>', 0, 1, 0.5, 0, 0.9, 0],
  ['no tags', 0, 0, 0, 0, 0, 0],
];

const openTruth = chain(
  'Possible findings are listed.',
  'Atelectasis, Edema; Pneumonia',
  'Linear opacity at the base means atelectasis.',
  'Atelectasis ✅',
  'No vessel congestion.',
  'Edema ❌',
  'Summary.',
  'Atelectasis, Pneumonia',
);

// [response, format, f1, process, reason, base]
const openRows: readonly (readonly [string, number, number, number, number, number])[] = [
  [
    chain(
      'Several diagnoses are possible.',
      'Atelectasis, Edema',
      'Possible linear findings are listed.',
      'Atelectasis ✅',
      'No congestion.',
      'Edema ❌',
      'Done.',
      'atelectasis',
    ),
    ...([1, 0.66666667, 0.2, 0.87222222, 0.7] as const),
  ],
  [chain('a', 'x', 'b', 'Edema ✅', 'c', 'Atelectasis, Pneumonia'), 1, 1, 0, 0, 1],
  [chain('a', 'x', 'c', 'pneumonia; atelectasis'), 1, 1, 0, 0, 1],
  [chain('a', ''), 1, 0, 0, 0, 0.1],
  ['< think >a< /think >< answer >Atelectasis\nPneumonia< /answer >', 1, 0, 0, 0, 0.1],
  [chain('a', 'Atelectasis ✅, Pneumonia ✅'), 1, 0, 0, 0, 0.1],
];

describe('the check values of the reward specification', () => {
  for (const [response, format, acc, process, reason, base, plain] of closedRows) {
    it(`scores the closed response ${JSON.stringify(response)}`, async () => {
      const parts = await scored('closed', response, closedTruth);
      assert.deepEqual([parts['format'], parts['acc'], parts['process']], [format, acc, process]);
      assertClose([parts['reason']!], [reason], { atol: 5e-5 }, 'reason');
      assertClose([parts['base_reward']!, parts.overall], [base, base], { atol: 1e-9 }, 'base');
      const { overall } = await scored('closed_plain', response, closedTruth);
      assertClose([overall], [plain], { atol: 1e-9 }, 'closed_plain');
    });
  }

  for (const [response, format, f1, process, reason, base] of openRows) {
    it(`scores the open response ${JSON.stringify(response)}`, async () => {
      const parts = await scored('open', response, openTruth);
      assert.deepEqual([parts['format'], parts['process']], [format, process]);
      assertClose([parts['f1']!, parts['reason']!], [f1, reason], { atol: 5e-9 }, 'f1, reason');
      assertClose([parts['base_reward']!, parts.overall], [base, base], { atol: 1e-9 }, 'base');
    });
  }

  it('compares the pneumonia sentences as 2/3 in both metrics', () => {
    const text = 'There is an opacity in the left lower lobe suggesting pneumonia.';
    const reference = 'There is a left lower lobe opacity. This suggests pneumonia.';
    const values = [
      bleu1(bleuTokens(text, 'single'), bleuTokens(reference, 'single')),
      rougeL(rougeTokens(text), rougeTokens(reference)),
    ];
    assertClose(values, [2 / 3, 2 / 3], { atol: 1e-9 });
  });

  it('stems the listed words', () => {
    const listed =
      'opacities opac suggesting suggest pneumonia pneumonia atelectasis atelectasi consolidation ' +
      'consolid effusions effus cardiomegaly cardiomegali enlarged enlarg findings find hazy hazi ' +
      'bilaterally bilater generally gener carefully care falling fall hopping hop happy happi enjoy ' +
      'enjoy agreed agre flies fli dies die spied spi radiology radiolog possibly possibl';
    const words = listed.split(' ');
    for (let i = 0; i < words.length; i += 2) assert.equal(porterStem(words[i]!), words[i + 1]);
  });

  it('writes a short fraction out, and penalises length as listed', () => {
    assert.equal(normalizeDapoAnswer('x = \\frac12'), '\\frac{1}{2}');
    const limits = { maxLength: 20480, buffer: 4096 };
    const penalties = [16384, 16385, 18432, 20480, 20481].map((n) => overlongPenalty(n, limits));
    assertClose(penalties, [0, -0.00024414, -0.5, -1, -1], { atol: 5e-9 });
  });
});
