import type { Gate, Reward } from './reward-schema.ts';
import type { Rule } from './rule.ts';

const LIST = 'worker.reward.reward_functions';

/** The rule over the rewards of a run, whose list comes first in an issue. */
function listRule(
  broken: (reward: Reward) => string | undefined,
  ...keys: readonly string[]
): Rule {
  return { keys: [LIST, ...keys], broken: ({ worker: { reward } }) => broken(reward) };
}

/** The fault of a gate over a file, in words. */
function gateProblem(
  { rule, key, bonus }: Gate,
  functionName: string | null,
  place: string,
): string | undefined {
  const isTold = rule === null || rule === 'none' || (key !== null && bonus !== null);
  return functionName === null || isTold
    ? undefined
    : `${rule} over a file needs ${place}.key, the part to decide by, and ${place}.bonus, the parts to pay`;
}

/** Rules between the keys of `worker.reward`. */
export const rewardListRules: readonly Rule[] = [
  {
    keys: ['worker.reward.gate.rule', 'worker.reward.gate.key', 'worker.reward.gate.bonus'],
    broken: ({ worker: { reward } }) =>
      gateProblem(reward.gate, reward.rewardFunctionName, 'worker.reward.gate'),
  },
  listRule(({ rewardFunctions }) =>
    rewardFunctions
      .map(({ name, gate, rewardFunctionName }) => {
        const problem = gateProblem(gate, rewardFunctionName, 'gate');
        return problem && `${name}: ${problem}`;
      })
      .find((problem) => problem !== undefined),
  ),
  listRule(
    ({ rewardFunction, rewardFunctions }) =>
      rewardFunctions.length > 0 && rewardFunction !== null
        ? 'worker.reward.reward_function is set too; put it into the list, or set it to null'
        : undefined,
    'worker.reward.reward_function',
  ),
  listRule(
    ({ rewardFunctions, rewardFunctionKwargs }) =>
      rewardFunctions.length > 0 && Object.keys(rewardFunctionKwargs).length > 0
        ? 'worker.reward.reward_function_kwargs belong to one reward; put them into its entry of the list'
        : undefined,
    'worker.reward.reward_function_kwargs',
  ),
  listRule(
    ({ rewardFunctions, gate: { rule, key, bonus } }) =>
      rewardFunctions.length > 0 && [rule, key, bonus].some((value) => value !== null)
        ? 'worker.reward.gate is that of one reward; put it into its entry of the list'
        : undefined,
    'worker.reward.gate.rule',
    'worker.reward.gate.key',
    'worker.reward.gate.bonus',
  ),
  listRule(({ rewardFunctions }) => {
    const names = rewardFunctions.map(({ name }) => name);
    const twice = names.find((name, index) => names.indexOf(name) < index);
    return twice === undefined ? undefined : `two rewards are called ${twice}`;
  }),
  listRule(({ rewardFunctions }) => {
    const odd = rewardFunctions.find(
      ({ rewardFunction, judge, rewardModel }) =>
        [rewardFunction, judge, rewardModel].filter((kind) => kind !== null).length !== 1,
    );
    return odd && `${odd.name} takes one of reward_function, judge and reward_model`;
  }),
  listRule(({ rewardFunctions }) => {
    const odd = rewardFunctions.find(
      ({ rewardFunction, gate: { rule, key, bonus } }) =>
        rewardFunction === null && [rule, key, bonus].some((value) => value !== null),
    );
    return odd && `${odd.name}: a gate is of a reward_function`;
  }),
];
