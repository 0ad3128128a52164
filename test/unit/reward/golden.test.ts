import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { porterStem } from '../../../src/reward/porter.ts';
import { resolveReward } from '../../../src/reward/registry.ts';
import { assertClose } from '../../support/assert-close.ts';

interface Case {
  readonly response: string;
  readonly groundTruth: string;
  readonly expected: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

function golden(name: string): unknown {
  const url = new URL(`../../golden/rewards/${name}`, import.meta.url);
  return JSON.parse(readFileSync(url, 'utf8'));
}

describe('rewards against a second source', () => {
  for (const name of ['closed', 'closed_plain', 'open', 'open_plain']) {
    it(`${name} gives the scores of the Python rules, damaged chains included`, async () => {
      const reward = await resolveReward(name);
      const cases = (golden('cases.json') as Case[]).filter(({ expected }) => name in expected);
      assert.ok(cases.length >= 100);
      const scores = await reward.score(
        cases.map(({ response, groundTruth }) => ({ response, groundTruth, responseLength: 1 })),
      );
      for (const [i, { expected, response }] of cases.entries()) {
        const wanted = expected[name]!;
        const parts = scores[i]!;
        assert.deepEqual(Object.keys(parts).sort(), Object.keys(wanted).sort());
        const keys = Object.keys(wanted);
        assertClose(
          keys.map((key) => parts[key]!),
          keys.map((key) => wanted[key]!),
          { atol: 1e-12 },
          `case ${i}, ${keys.join(' ')}, ${JSON.stringify(response)}`,
        );
      }
    });
  }

  it('stems 800 words as NLTK does', () => {
    const stems = Object.entries(golden('stems.json') as Record<string, string>);
    assert.ok(stems.length >= 800);
    const ours = stems.map(([word]) => [word, porterStem(word)]);
    assert.deepEqual(ours, stems);
  });
});
