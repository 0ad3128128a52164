import type { Config } from '../config/schema.ts';
import { CxmindError } from '../errors.ts';
import type { GateSpec } from './gate.ts';
import { gateOptions, scorerOptions } from './options.ts';
import { builtInGate } from './registry.ts';

type RewardConfig = Config['worker']['reward'];

/** The reward of a run, as its config names it. */
export interface RewardChoice {
  /** A built-in's name, or `FILE:FUNC`. */
  readonly spec: string;
  /** What the function is called with. */
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** The batch gate over its scores, where there is one. */
  readonly gate: GateSpec | undefined;
}

/**
 * Which reward a config asks for, with which arguments and which gate.
 *
 * `ema_alpha` and `ema_margin` of `reward_function_kwargs` are the gate's and reach the function only where there is
 * no gate, in which case they are whatever the function makes of them.
 *
 * @throws CONFIG_INVALID for a gate without what it decides by or pays
 */
export function rewardChoice(reward: RewardConfig): RewardChoice {
  const { rewardFunction, rewardFunctionName: name, rewardFunctionKwargs, form } = reward;
  const file = rewardFunction ?? 'closed';
  const isFile = name !== null;
  const usual = isFile ? undefined : builtInGate(file);
  const rule = reward.gate.rule ?? usual?.rule ?? 'none';
  const own = isFile ? {} : { form };
  if (rule === 'none') {
    const spec = isFile ? `${file}:${name}` : file;
    return { spec, kwargs: { ...own, ...rewardFunctionKwargs }, gate: undefined };
  }
  const { ema_alpha, ema_margin, ...kwargs } = rewardFunctionKwargs;
  const { values } = scorerOptions(
    {
      ...(ema_alpha !== undefined && { ema_alpha }),
      ...(ema_margin !== undefined && { ema_margin }),
    },
    gateOptions,
  );
  const key = reward.gate.key ?? usual?.key;
  const bonus = reward.gate.bonus ?? usual?.bonus;
  if (key === undefined || bonus === undefined) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `worker.reward.gate: the rule ${rule} over ${file} needs the part to decide by, gate.key, and the parts ` +
        'to pay, gate.bonus',
    );
  }
  return {
    spec: isFile ? `${file}:${name}` : file,
    kwargs: { ...own, ...kwargs },
    gate: { rule, key, bonus, emaAlpha: values.ema_alpha, emaMargin: values.ema_margin },
  };
}
