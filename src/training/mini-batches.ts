/** Division of a step's samples into optimizer steps, and of each of these among the learners. */
import { sum } from '../algorithms/primitives.ts';
import { balancedSets } from '../algorithms/sequence-balance.ts';
import type { SequenceInput } from '../model/pack.ts';
import type { MaskedInput } from './experience.ts';
import { cutEvery, runsOfOnePrompt, tokensTogether } from './micro-batches.ts';

/** One learner's share of the samples of an optimizer step; it may be empty. */
export interface MiniBatch<S extends SequenceInput> {
  readonly samples: S[];
  /** Response tokens of the whole mini-batch that count, all learners' together; losses are averaged over them. */
  readonly responseTokens: number;
  /** Responses of the whole mini-batch. */
  readonly sequences: number;
}

/**
 * Divides the samples of a step into mini-batches, and each mini-batch among the learners.
 *
 * A mini-batch holds consecutive samples whatever the number of learners, so every optimizer step sees the same
 * samples.
 *
 * @param size samples of a mini-batch, over all learners
 * @returns for each learner, its share of every mini-batch, in order
 */
export function miniBatches<S extends MaskedInput>(
  samples: readonly S[],
  size: number,
  learners: number,
): MiniBatch<S>[][] {
  const shares: MiniBatch<S>[][] = Array.from({ length: learners }, () => []);
  for (const whole of cutEvery(samples, size)) {
    const totals = { responseTokens: responseTokensOf(whole), sequences: whole.length };
    for (const [learner, indices] of learnerShares(whole, learners).entries()) {
      shares[learner]!.push({ samples: indices.map((i) => whole[i]!), ...totals });
    }
  }
  return shares;
}

/**
 * Divides samples among learners by their tokens; each sample goes to one learner.
 *
 * Responses to one prompt stay together as far as even shares allow, because the prompt and its images are then
 * computed once. They have to be side by side, as a rollout leaves them.
 *
 * @returns for each learner, rising indices of its samples; empty where there are too few
 */
export function learnerShares(samples: readonly SequenceInput[], learners: number): number[][] {
  if (learners === 1) return [[...samples.keys()]];
  const shares: number[][] = Array.from({ length: learners }, () => []);
  if (samples.length === 0) return shares;
  const pieces = piecesOf(samples, learners);
  const lengths = pieces.map((piece) => tokensTogether(piece.map((i) => samples[i]!)));
  const sets = balancedSets(lengths, Math.min(learners, pieces.length));
  for (const [learner, set] of sets.entries()) {
    shares[learner] = set.flatMap((piece) => pieces[piece]!).sort((a, b) => a - b);
  }
  return shares;
}

/** Number of response tokens of all samples that a loss counts. */
export function responseTokensOf(samples: readonly MaskedInput[]): number {
  return samples.reduce(
    (total, { response, mask }) => total + (mask ? sum(mask.data) : response.data.length),
    0,
  );
}

/** Runs of responses to one prompt, cut until every learner can have one and none is above an even share. */
function piecesOf(samples: readonly SequenceInput[], learners: number): number[][] {
  const runs = runsOfOnePrompt(samples);
  const wanted = Math.min(learners, samples.length);
  for (let size = Math.ceil(samples.length / learners); ; size--) {
    const pieces = runs.flatMap((run) => cutEvery(run, size));
    if (pieces.length >= wanted) return pieces;
  }
}
