/** Weighted sum of several rewards' scores, as in TRL's GRPOTrainer (`reward_funcs` and `reward_weights`). */
import type { RewardParts } from './reward.ts';

/** A reward among those of a run. */
export interface Weighted {
  /** Null for the only reward of a run that names none. */
  readonly name: string | null;
  /** Factor of its score in the sum. */
  readonly weight: number;
}

/**
 * One score from those of several rewards: `overall` is the weighted sum of theirs, and every part keeps the name of its
 * reward, as `<name>/<part>`.
 *
 * The parts of a reward without a name stay as they are.
 *
 * @param scores parts of one response's score by each reward, in their order
 */
export function mixture(
  rewards: readonly Weighted[],
  scores: readonly Readonly<Record<string, number>>[],
): RewardParts {
  const [only] = rewards;
  if (rewards.length === 1 && only!.name === null) return scores[0] as RewardParts;
  const named = rewards.flatMap(({ name }, i) =>
    Object.entries(scores[i]!).map(([part, value]) => [`${name}/${part}`, value] as const),
  );
  const overall = rewards.reduce((sum, { weight }, i) => sum + weight * scores[i]!['overall']!, 0);
  return { overall, ...Object.fromEntries(named) };
}

/** The first of some parts that a score has, whichever reward gave it; undefined if it has none. */
export function partOf(
  parts: Readonly<Record<string, number>>,
  names: readonly string[],
): number | undefined {
  const entries = Object.entries(parts);
  for (const name of names) {
    const found = entries.find(([part]) => part === name || part.endsWith(`/${name}`));
    if (found !== undefined) return found[1];
  }
  return undefined;
}
