import assert from 'node:assert/strict';
import fc from 'fast-check';
import type { SequenceInput } from '../../../src/model/pack.ts';
import { zeros } from '../../../src/tensor/tensor.ts';
import { learnerShares, miniBatches } from '../../../src/training/mini-batches.ts';
import { textPrompt } from '../../support/golden-model.ts';

interface Group {
  readonly prompt: number;
  readonly responses: readonly number[];
}

/** Responses side by side by their prompts, as a rollout makes them; all numbers are of tokens. */
function samplesOf(groups: readonly Group[]): SequenceInput[] {
  return groups.flatMap(({ prompt: length, responses }) => {
    const prompt = textPrompt(Array<number>(length).fill(1));
    return responses.map((count) => ({ prompt, response: zeros('i32', [count]) }));
  });
}

const lengthOf = ({ prompt, response }: SequenceInput): number =>
  prompt.tokenIds.data.length + response.data.length;
const tokensOf = (samples: readonly SequenceInput[]): number =>
  samples.reduce((sum, { response }) => sum + response.data.length, 0);
const length = fc.integer({ min: 1, max: 40 });
const groups = fc.array(
  fc.record({ prompt: length, responses: fc.array(length, { minLength: 1, maxLength: 8 }) }),
  { maxLength: 8 },
);
const learners = fc.integer({ min: 1, max: 5 });

describe('learnerShares', () => {
  it('gives every sample to one learner, in order', () => {
    fc.assert(
      fc.property(groups, learners, (some, count) => {
        const samples = samplesOf(some);
        const shares = learnerShares(samples, count);
        assert.equal(shares.length, count);
        const all = shares.flat().sort((a, b) => a - b);
        assert.deepEqual(all, [...samples.keys()]);
        for (const share of shares) {
          assert.deepEqual(
            share,
            share.toSorted((a, b) => a - b),
          );
        }
      }),
    );
  });

  it('leaves nobody without a sample while there are as many as learners', () => {
    fc.assert(
      fc.property(groups, learners, (some, count) => {
        const samples = samplesOf(some);
        const busy = learnerShares(samples, count).filter((share) => share.length > 0);
        assert.equal(busy.length, Math.min(count, samples.length));
      }),
    );
  });

  it('has no learner ahead by more than the largest piece that stays together', () => {
    fc.assert(
      fc.property(groups, learners, (some, count) => {
        const samples = samplesOf(some);
        const shares = learnerShares(samples, count);
        const loads = shares.map((share) => {
          const prompts = new Set(share.map((i) => samples[i]!.prompt));
          const shared = [...prompts].reduce((sum, { tokenIds }) => sum + tokenIds.data.length, 0);
          return shared + tokensOf(share.map((i) => samples[i]!));
        });
        const even = Math.ceil(samples.length / count);
        const longest = Math.max(0, ...samples.map(lengthOf));
        assert.ok(Math.max(...loads) - Math.min(...loads) <= Math.max(1, even) * longest);
      }),
    );
  });

  it('keeps the responses to a prompt together where the shares are even that way', () => {
    const samples = samplesOf([1, 2, 3, 4].map(() => ({ prompt: 30, responses: [5, 6, 7] })));
    assert.deepEqual(
      learnerShares(samples, 2).map((share) => share.map((i) => Math.floor(i / 3))),
      [
        [0, 0, 0, 3, 3, 3],
        [1, 1, 1, 2, 2, 2],
      ],
    );
  });

  it('divides the responses to one prompt among all learners', () => {
    const samples = samplesOf([{ prompt: 9, responses: [4, 4, 4, 4, 4, 4] }]);
    assert.deepEqual(
      learnerShares(samples, 3).map((share) => share.length),
      [2, 2, 2],
    );
  });
});

describe('miniBatches', () => {
  it('has the same samples and tokens in each optimizer step for any number of learners', () => {
    fc.assert(
      fc.property(groups, learners, fc.integer({ min: 1, max: 9 }), (some, count, size) => {
        const samples = samplesOf(some);
        const shares = miniBatches(samples, size, count);
        for (let step = 0; step * size < samples.length; step++) {
          const whole = samples.slice(step * size, (step + 1) * size);
          const parts = shares.map((share) => share[step]!);
          assert.deepEqual(new Set(parts.flatMap((part) => part.samples)), new Set(whole));
          assert.equal(
            parts.reduce((sum, part) => sum + part.samples.length, 0),
            whole.length,
          );
          for (const part of parts) assert.equal(part.responseTokens, tokensOf(whole));
        }
      }),
    );
  });
});
