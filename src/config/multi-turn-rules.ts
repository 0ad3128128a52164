import { rewardFileOf } from './names.ts';
import type { Rule } from './rule.ts';

const ENABLE = 'worker.rollout.multi_turn.enable';
const ENVIRONMENT = 'worker.rollout.multi_turn.environment';
const SERVERS = 'worker.rollout.mcp_servers';

/** Rules of responses of several turns. */
export const multiTurnRules: readonly Rule[] = [
  {
    keys: [ENABLE, ENVIRONMENT, SERVERS],
    broken: ({ worker: { rollout } }) => {
      const { enable, environment } = rollout.multiTurn;
      return enable && environment === null && rollout.mcpServers.length === 0
        ? `true, but nothing answers the policy; name ${ENVIRONMENT} or ${SERVERS}`
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
    keys: [SERVERS, ENABLE],
    broken: ({ worker: { rollout } }) => {
      const odd = rollout.mcpServers.find(
        ({ command, url }) => (command === null) === (url === null),
      );
      if (odd !== undefined) return `${odd.name} takes either a command or a url`;
      return rollout.mcpServers.length === 0 || rollout.multiTurn.enable
        ? undefined
        : `they are not used without ${ENABLE} = true`;
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
