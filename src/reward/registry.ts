import { nearestOf } from '../config/issues.ts';
import { rewardFileOf } from '../config/reward-file.ts';
import { answerText, type Answer } from '../data/row.ts';
import { CxmindError } from '../errors.ts';
import { androidGui } from './android-gui.ts';
import { closed, closedPlain, closedThink } from './closed.ts';
import { dapo } from './dapo.ts';
import type { GateSpec } from './gate.ts';
import { math, r1v } from './math.ts';
import { open, openPlain, openThink } from './open.ts';
import type { BuiltIn, Reward, RewardInput } from './reward.ts';
import { loadUserReward, type RewardKwargs } from './user-function.ts';

/** Every built-in reward: CX-Mind's for closed and open questions, then those of upstream EasyR1. */
const builtIns: Readonly<Record<string, BuiltIn>> = {
  closed,
  closed_think: closedThink,
  closed_plain: closedPlain,
  open,
  open_think: openThink,
  open_plain: openPlain,
  math,
  r1v,
  dapo,
  android_gui: androidGui,
};

/** Names that `worker.reward.reward_function` may have besides `./file.ts:function`. */
export const builtInRewards: readonly string[] = Object.keys(builtIns);

/** What a built-in's batch gate decides by and pays; undefined for one without a gate. */
export function builtInGate(name: string): Pick<GateSpec, 'rule' | 'key' | 'bonus'> | undefined {
  return Object.hasOwn(builtIns, name) ? builtIns[name]!.gate : undefined;
}

/** The gated built-in whose parts a score has, of several the one with most bonuses; undefined if there is none. */
export function twinOf(
  parts: Readonly<Record<string, number>>,
): { readonly name: string; readonly gate: NonNullable<BuiltIn['gate']> } | undefined {
  return Object.entries(builtIns)
    .flatMap(([name, { gate }]) => (gate === undefined ? [] : [{ name, gate }]))
    .filter(({ gate }) => ['base_reward', gate.key, ...gate.bonus].every((part) => part in parts))
    .sort((a, b) => b.gate.bonus.length - a.gate.bonus.length)[0];
}

/** A built-in by its name. @throws CONFIG_INVALID for an unknown name (with the nearest) or a wrong option */
export function builtInReward(name: string, kwargs: RewardKwargs = {}): Reward {
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
  const asText = ({ groundTruth, ...input }: RewardInput<Answer>): RewardInput => ({
    ...input,
    groundTruth: answerText(groundTruth),
  });
  return { name, score: (batch) => batch.map((input) => score(asText(input))) };
}

/**
 * The reward that `worker.reward.reward_function` names, run on the calling thread: a built-in, or a user's
 * `./file.ts:function`.
 *
 * @param kwargs `reward_function_kwargs`: a built-in's options and `form`, or whatever the user's function takes
 * @throws CONFIG_INVALID for an unknown name (with the nearest) or a wrong option; REWARD_INVALID when a
 *   user's file does not load
 */
export async function resolveReward(spec: string, kwargs: RewardKwargs = {}): Promise<Reward> {
  const file = rewardFileOf(spec);
  return file === undefined ? builtInReward(spec, kwargs) : loadUserReward(file, kwargs);
}
