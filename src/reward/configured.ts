/** Rewards of a run as `worker.reward` names them: functions, arguments, weights, and the gate of a batch. */
import type { Config } from '../config/schema.ts';
import { CxmindError } from '../errors.ts';
import type { GateChoice, GateSpec } from './gate.ts';
import type { Weighted } from './mixture.ts';
import { gateOptions, scorerOptions } from './options.ts';
import { builtInGate, twinOf } from './registry.ts';

/** Keys of the config that choose one reward. */
type RewardConfig = Pick<
  Config['worker']['reward'],
  'rewardFunction' | 'rewardFunctionName' | 'rewardFunctionKwargs' | 'form' | 'gate'
>;

/** Reward of a run, as its config names it. */
export interface RewardChoice extends Weighted {
  /** Name of a built-in, or `FILE:FUNC`. */
  readonly spec: string;
  /** Arguments of the function. */
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** Batch gate over the scores; undefined if there is none. */
  readonly gate: GateChoice | undefined;
}

/**
 * Resolves the rewards that a config asks for: `reward_function` alone, or those of the list `reward_functions`.
 *
 * @throws CONFIG_INVALID as `rewardChoice` does, and for more than one gate
 */
export function rewardChoices(
  reward: Config['worker']['reward'],
  note?: (line: string) => void,
): readonly RewardChoice[] {
  if (reward.rewardFunctions.length === 0) return [rewardChoice(reward, note)];
  const functions = reward.rewardFunctions.filter(({ rewardFunction }) => rewardFunction !== null);
  const choices = functions.map((one): RewardChoice => {
    const { gate, ...choice } = rewardChoice({ ...one, form: reward.form }, note);
    // A gate that follows from the parts of a file's scores is for a run with one reward.
    return {
      ...choice,
      gate: typeof gate === 'function' ? undefined : gate,
      name: one.name,
      weight: one.weight,
    };
  });
  const gated = choices.filter(({ gate }) => gate !== undefined).map(({ name }) => name);
  if (gated.length <= 1) return choices;
  throw new CxmindError(
    'CONFIG_INVALID',
    `worker.reward.reward_functions: ${gated.join(' and ')} have a gate each, and a run has one; set gate.rule=none ` +
      'in the entries of the others',
  );
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
function rewardChoice(
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
    return { ...alone, spec, kwargs, gate: isUnsaid ? gateOfTwin(reward, spec, note) : undefined };
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
  return { ...alone, spec, kwargs: { ...own, ...kwargs }, gate };
}

/** A run's only reward. */
const alone: Weighted = { name: null, weight: 1 };

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
  const { values } = scorerOptions({ ...given }, gateOptions);
  return { emaAlpha: values.ema_alpha, emaMargin: values.ema_margin };
}
