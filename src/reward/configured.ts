import type { Config } from '../config/schema.ts';
import { CxmindError } from '../errors.ts';
import type { GateChoice, GateSpec } from './gate.ts';
import { gateOptions, scorerOptions } from './options.ts';
import { builtInGate, twinOf } from './registry.ts';

type RewardConfig = Config['worker']['reward'];

/** Reward of a run, as its config names it. */
export interface RewardChoice {
  /** Name of a built-in, or `FILE:FUNC`. */
  readonly spec: string;
  /** Arguments of the function. */
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** Batch gate over the scores; undefined if there is none. */
  readonly gate: GateChoice | undefined;
}

/**
 * Resolves the reward that a config asks for, its arguments and its gate.
 *
 * If the config sets no gate for a file, and the file's scores have the parts of a gated built-in, they get the gate
 * of that built-in. The reward managers that come with CX-Mind's files do the same.
 *
 * `ema_alpha` and `ema_margin` of `reward_function_kwargs` belong to the gate. They reach the function only if the
 * config has no gate.
 *
 * @param note receives one line, once, about a gate that follows from a file's scores
 * @throws CONFIG_INVALID for a gate without a part to decide by or parts to pay
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

/** Gate of the built-in whose parts a file returns. */
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

/** Weight and margin of the gate's running mean. @throws CONFIG_INVALID */
function runningMean(given: {
  readonly ema_alpha: unknown;
  readonly ema_margin: unknown;
}): Pick<GateSpec, 'emaAlpha' | 'emaMargin'> {
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  const { values } = scorerOptions(Object.fromEntries(set), gateOptions);
  return { emaAlpha: values.ema_alpha, emaMargin: values.ema_margin };
}
