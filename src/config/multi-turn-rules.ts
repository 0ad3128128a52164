import { rewardFileOf } from './names.ts';
import type { Rule } from './rule.ts';

const ENABLE = 'worker.rollout.multi_turn.enable';
const ENVIRONMENT = 'worker.rollout.multi_turn.environment';

/** Rules of responses of several turns. */
export const multiTurnRules: readonly Rule[] = [
  {
    keys: [ENABLE, ENVIRONMENT],
    broken: ({ worker: { rollout } }) => {
      const { enable, environment } = rollout.multiTurn;
      return enable && environment === null
        ? `true, but nothing answers the policy; name ${ENVIRONMENT}`
        : undefined;
    },
  },
  {
    keys: [ENVIRONMENT, ENABLE],
    broken: ({ worker: { rollout } }) => {
      const { enable, environment } = rollout.multiTurn;
      if (environment === null) return undefined;
      if (rewardFileOf(environment) === undefined) {
        return `expected ./file.ts:function or ./file.py:function, got "${environment}"`;
      }
      return enable ? undefined : `it is not used without ${ENABLE} = true`;
    },
  },
  {
    keys: ['worker.rollout.ignore_eos', ENABLE],
    broken: ({ worker: { rollout } }) =>
      rollout.multiTurn.enable && rollout.ignoreEos
        ? `a turn ends at the end-of-turn token, so ${ENABLE} = true takes false`
        : undefined,
  },
];
