import { nearestOf } from '../config/issues.ts';
import { CxmindError } from '../errors.ts';
import { closedGate, scoreClosedChain, scoreClosedPlain } from './closed.ts';
import type { GateSpec } from './gate.ts';
import { openGate, scoreOpenChain, scoreOpenPlain } from './open.ts';
import { releasedOptions, scorerOptions, type ScorerOptions } from './options.ts';
import type { Reward, RewardInput, RewardParts } from './reward.ts';
import { loadUserReward, type RewardKwargs } from './user-function.ts';

interface BuiltIn {
  readonly score: (input: RewardInput, options: ScorerOptions) => RewardParts;
  readonly gate?: (options: ScorerOptions) => GateSpec;
  readonly processWeight?: number;
}

/** A chain's score without its step-answer bonus, as in the released think-only files. */
function withoutProcess(parts: RewardParts): RewardParts {
  return Object.fromEntries(
    Object.entries(parts).filter(([part]) => part !== 'process'),
  ) as RewardParts;
}

/** CX-Mind's rewards: closed-ended (lettered options) and open-ended (a list), with fewer and fewer bonuses. */
const builtIns: Readonly<Record<string, BuiltIn>> = {
  closed: {
    score: scoreClosedChain,
    gate: (options) => closedGate(['reason', 'process'], options),
  },
  closed_think: {
    score: (input, options) => withoutProcess(scoreClosedChain(input, options)),
    gate: (options) => closedGate(['reason'], options),
  },
  closed_plain: { score: scoreClosedPlain },
  open: {
    score: scoreOpenChain,
    gate: (options) => openGate(['reason', 'process'], options),
    processWeight: 0.2,
  },
  open_think: {
    score: (input, options) => withoutProcess(scoreOpenChain(input, options)),
    gate: (options) => openGate(['reason'], options),
    processWeight: 0.2,
  },
  open_plain: { score: scoreOpenPlain },
};

/** Names that `worker.reward.reward_function` may have besides `./file.ts:function`. */
export const builtInRewards: readonly string[] = Object.keys(builtIns);

function isFile(spec: string): boolean {
  return /[:/\\]|\.[cm]?[jt]s$/.test(spec);
}

/**
 * The reward that `worker.reward.reward_function` names: a built-in, or a user's `./file.ts:function`.
 *
 * @param kwargs `reward_function_kwargs`: a built-in's `ScorerOptions` in snake_case, or whatever the user's
 *   function takes
 * @throws CONFIG_INVALID for an unknown name (with the nearest) or a wrong option; REWARD_INVALID when a
 *   user's file does not load
 */
export async function resolveReward(spec: string, kwargs: RewardKwargs = {}): Promise<Reward> {
  const builtIn = Object.hasOwn(builtIns, spec) ? builtIns[spec] : undefined;
  if (builtIn === undefined) {
    if (isFile(spec)) return loadUserReward(spec, kwargs);
    throw new CxmindError(
      'CONFIG_INVALID',
      `worker.reward.reward_function: expected ./file.ts:function or one of ` +
        `${builtInRewards.join(', ')}, got '${spec}', nearest is '${nearestOf(spec, builtInRewards)}'`,
      { detail: { spec, known: builtInRewards } },
    );
  }
  const { score, gate, processWeight = releasedOptions.processWeight } = builtIn;
  const options = scorerOptions(kwargs, { ...releasedOptions, processWeight });
  return {
    name: spec,
    ...(gate && { gate: gate(options) }),
    score: (batch) => batch.map((input) => score(input, options)),
  };
}
