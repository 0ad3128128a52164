/** Table of the built-in rewards, and the reward behind a name of the config, built-in or a user's. */
import { nearestOf } from '../check/nearest.ts';
import { rewardFileOf } from '../config/names.ts';
import { answerText, type Answer } from '../data/row.ts';
import { CxmindError } from '../errors.ts';
import { androidGui } from './android-gui.ts';
import { closedRewards } from './closed.ts';
import { dapo } from './dapo.ts';
import type { GateSpec } from './gate.ts';
import { math, r1v } from './math.ts';
import { openRewards } from './open.ts';
import type { AnsweredText, BuiltIn, Reward } from './reward.ts';
import { loadUserReward, type RewardKwargs } from './user-function.ts';

/** Built-in rewards: those of CX-Mind for closed and open questions, then those of upstream EasyR1. */
const builtIns: Readonly<Record<string, BuiltIn>> = {
  ...closedRewards,
  ...openRewards,
  math,
  r1v,
  dapo,
  android_gui: androidGui,
};

/** Names of the built-in rewards. `worker.reward.reward_function` takes one of them, or `./file.ts:function`. */
export const builtInRewards: readonly string[] = Object.keys(builtIns);

/** Batch gate of a built-in; undefined if it has none. */
export function builtInGate(name: string): Pick<GateSpec, 'rule' | 'key' | 'bonus'> | undefined {
  return Object.hasOwn(builtIns, name) ? builtIns[name]!.gate : undefined;
}

/** Gated built-in whose parts a score has; of several the one with most bonuses. Undefined if there is none. */
export function twinOf(
  parts: Readonly<Record<string, number>>,
): { readonly name: string; readonly gate: NonNullable<BuiltIn['gate']> } | undefined {
  return Object.entries(builtIns)
    .flatMap(([name, { gate }]) => (gate === undefined ? [] : [{ name, gate }]))
    .filter(({ gate }) => ['base_reward', gate.key, ...gate.bonus].every((part) => part in parts))
    .sort((a, b) => b.gate.bonus.length - a.gate.bonus.length)[0];
}

/** Built-in by its name. @throws CONFIG_INVALID for an unknown name (with the nearest) or a wrong option */
export function builtInReward(
  name: string,
  kwargs: RewardKwargs = {},
): Reward<AnsweredText<Answer>> {
  if (!Object.hasOwn(builtIns, name)) {
    const nearest = nearestOf(name, builtInRewards);
    throw new CxmindError(
      'CONFIG_INVALID',
      `worker.reward.reward_function: expected ./file.ts:function or one of ` +
        `${builtInRewards.join(', ')}, got '${name}'` +
        (nearest === undefined ? '' : `, nearest is '${nearest}'`),
      { detail: { spec: name, known: builtInRewards } },
    );
  }
  const score = builtIns[name]!.configure(kwargs);
  const asText = ({ groundTruth, ...input }: AnsweredText<Answer>): AnsweredText => ({
    ...input,
    groundTruth: answerText(groundTruth),
  });
  return { name, score: (batch) => batch.map((input) => score(asText(input))) };
}

/**
 * Loads the reward that `worker.reward.reward_function` names: a built-in, or a user's `./file.ts:function`. It runs
 * on the calling thread.
 *
 * @param kwargs `reward_function_kwargs`: options and `form` of a built-in, or any arguments of a user's function
 * @throws CONFIG_INVALID for an unknown name (with the nearest) or a wrong option; REWARD_INVALID if a user's file
 *   does not load
 */
export async function resolveReward(spec: string, kwargs: RewardKwargs = {}): Promise<Reward> {
  const file = rewardFileOf(spec);
  return file === undefined ? builtInReward(spec, kwargs) : loadUserReward(file, kwargs);
}
