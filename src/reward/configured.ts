import type { Config } from '../config/schema.ts';
import { CxmindError } from '../errors.ts';
import type { GateChoice, GateSpec } from './gate.ts';
import { gateOptions, scorerOptions } from './options.ts';
import { builtInGate, twinOf } from './registry.ts';

type RewardConfig = Config['worker']['reward'];

/** The reward of a run, as its config names it. */
export interface RewardChoice {
  /** A built-in's name, or `FILE:FUNC`. */
  readonly spec: string;
  /** What the function is called with. */
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** The batch gate over its scores, where there is one. */
  readonly gate: GateChoice | undefined;
}

/**
 * Which reward a config asks for, with which arguments and which gate.
 *
 * A file without a gate of its own whose scores have the parts of a gated built-in gets the gate of that one, as the
 * reward managers that CX-Mind's files come with put it over them.
 *
 * `ema_alpha` and `ema_margin` of `reward_function_kwargs` are the gate's and reach the function only where the config
 * names no gate, in which case they are whatever the function makes of them, too.
 *
 * @param note told of a gate that the scores of a file brought about, once
 * @throws CONFIG_INVALID for a gate without what it decides by or pays
 */
export function rewardChoice(
  reward: RewardConfig,
  note: (line: string) => void = () => undefined,
): RewardChoice {
  const { rewardFunction, rewardFunctionName: name, rewardFunctionKwargs, form } = reward;
  const file = rewardFunction ?? 'closed';
  const isFile = name !== null;
  const spec = isFile ? `${file}:${name}` : file;
  const usual = isFile ? undefined : builtInGate(file);
  const rule = reward.gate.rule ?? usual?.rule ?? 'none';
  const own = isFile ? {} : { form };
  if (rule === 'none') {
    const kwargs = { ...own, ...rewardFunctionKwargs };
    const isUnsaid = isFile && reward.gate.rule === null;
    return { spec, kwargs, gate: isUnsaid ? gateOfTwin(reward, spec, note) : undefined };
  }
  const { ema_alpha, ema_margin, ...kwargs } = rewardFunctionKwargs;
  const key = reward.gate.key ?? usual?.key;
  const bonus = reward.gate.bonus ?? usual?.bonus;
  if (key === undefined || bonus === undefined) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `worker.reward.gate: the rule ${rule} over ${file} needs the part to decide by, gate.key, and the parts ` +
        'to pay, gate.bonus',
    );
  }
  const gate = { rule, key, bonus, ...runningMean({ ema_alpha, ema_margin }) };
  return { spec, kwargs: { ...own, ...kwargs }, gate };
}

/** The gate of the built-in whose parts a file returns. */
function gateOfTwin(
  { gate: { key, bonus }, rewardFunctionKwargs }: RewardConfig,
  spec: string,
  note: (line: string) => void,
): GateChoice {
  let isTold = false;
  return (parts) => {
    const twin = twinOf(parts);
    if (twin === undefined) return undefined;
    const { ema_alpha, ema_margin } = rewardFunctionKwargs;
    const gate: GateSpec = {
      rule: twin.gate.rule,
      key: key ?? twin.gate.key,
      bonus: bonus ?? twin.gate.bonus,
      ...runningMean({ ema_alpha, ema_margin }),
    };
    if (!isTold) {
      note(
        `${spec} returns the parts of the reward ${twin.name} and gets its gate: base_reward, and ` +
          `${gate.bonus.join(' and ')} while ${gate.key} is not falling; worker.reward.gate.rule=none leaves overall as it is`,
      );
    }
    isTold = true;
    return gate;
  };
}

/** The two weights of the gate's running mean. @throws CONFIG_INVALID */
function runningMean(given: {
  readonly ema_alpha: unknown;
  readonly ema_margin: unknown;
}): Pick<GateSpec, 'emaAlpha' | 'emaMargin'> {
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  const { values } = scorerOptions(Object.fromEntries(set), gateOptions);
  return { emaAlpha: values.ema_alpha, emaMargin: values.ema_margin };
}
