import assert from 'node:assert/strict';
import { gradeAnswer } from '../../../src/reward/math-grader.ts';
import { porterStem } from '../../../src/reward/porter.ts';
import { builtInReward } from '../../../src/reward/registry.ts';
import { goldenJson } from '../../support/golden.ts';

interface Case {
  readonly response: string;
  readonly length: number;
  readonly truth: string;
  readonly expected: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

const golden = (name: string): unknown => goldenJson(`rewards/${name}`);

/** The originals round inside the think bonus of the closed rewards, to four decimals. */
function tolerance(reward: string, part: string): number {
  return part === 'reason' && reward.startsWith('closed') ? 1e-4 : 1e-9;
}

const options: Readonly<Record<string, object>> = {
  dapo: { max_response_length: 60, overlong_buffer_length: 20, overlong_penalty_factor: 0.5 },
};

describe('faithful rewards against the original Python', () => {
  for (const [file, names, least] of [
    [
      'chains',
      ['closed', 'closed_think', 'closed_plain', 'open', 'open_think', 'open_plain'],
      1500,
    ],
    ['answers', ['math', 'r1v', 'dapo', 'android_gui'], 2500],
  ] as const) {
    const all = golden(`${file}.json.gz`) as Case[];
    for (const name of names) {
      it(`${name} gives the scores of the original, damaged responses included`, async () => {
        const reward = builtInReward(name, { form: 'faithful', ...options[name] });
        const cases = all.filter(({ expected }) => name in expected);
        assert.ok(cases.length >= least);
        const scores = await reward.score(
          cases.map(({ response, length, truth }) => ({
            response,
            responseLength: length,
            groundTruth: truth,
          })),
        );
        const wrong = cases.flatMap(({ response, truth, expected }, i) => {
          const wanted = expected[name]!;
          const got = scores[i]!;
          assert.deepEqual(Object.keys(got).sort(), Object.keys(wanted).sort());
          const parts = Object.keys(wanted).filter(
            (part) => !(Math.abs(got[part]! - wanted[part]!) <= tolerance(name, part)),
          );
          return parts.length === 0 ? [] : [{ response, truth, parts, got, wanted }];
        });
        assert.deepEqual(wrong.slice(0, 3), [], `${wrong.length} of ${cases.length} differ`);
      });
    }
  }

  it('math tells which expressions are equal, whatever names, products and functions are in them', () => {
    const pairs = golden('expressions.json.gz') as [given: string, truth: string, equal: boolean][];
    assert.ok(pairs.length >= 3000);
    const wrong = pairs.filter(
      ([given, truth, equal]) => gradeAnswer(given, truth, 'faithful') !== equal,
    );
    assert.deepEqual(wrong.slice(0, 5), [], `${wrong.length} of ${pairs.length} differ`);
  });

  it('stems 800 words as NLTK does', () => {
    const stems = Object.entries(golden('stems.json') as Record<string, string>);
    assert.ok(stems.length >= 800);
    const ours = stems.map(([word]) => [word, porterStem(word)]);
    assert.deepEqual(ours, stems);
  });
});
