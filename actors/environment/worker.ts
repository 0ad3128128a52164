import type { RewardFile } from '../../src/config/names.ts';
import type { EpisodeMessage, TurnRequest } from '../../src/environment/environment.ts';
import { userEnvironment } from '../../src/environment/load.ts';
import type { Logger } from '../runtime/actor.ts';
import { openUserCode } from '../user-code/open.ts';
import type { UserCode } from '../user-code/user-code.ts';

/** A user's environment, and how it is loaded. */
export interface EnvironmentProps {
  readonly source: RewardFile;
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** Interpreter of a Python file. */
  readonly python: string;
}

/** CPUs that libraries of a Python environment may use. */
const CPUS = 1;

/** A worker of an environment: a call plays a turn, or asks for the tools where the request is null. */
export type EnvironmentWorker = UserCode<TurnRequest | null>;

/** Makes a worker of an environment. */
export function environmentWorker(props: EnvironmentProps, logger: Logger): EnvironmentWorker {
  return openUserCode(
    {
      ...{ ...props, ...userEnvironment },
      ...{ pythonKey: 'worker.rollout.multi_turn.python', cpus: CPUS, type: 'environment', spelt },
      thread: {
        module: new URL('./environment-thread.ts', import.meta.url),
        create: 'createEnvironment',
        props,
      },
    },
    logger,
  );
}

/** A request in Python's spelling. */
function spelt(request: TurnRequest | null): object | null {
  if (request === null) return null;
  const { start, steps, ...rest } = request;
  return {
    ...rest,
    start: start && renamed(start, 'groundTruth', 'ground_truth'),
    steps: steps.map((messages) => messages.map(messageInPython)),
  };
}

function messageInPython(message: EpisodeMessage): object {
  return 'toolCalls' in message ? renamed(message, 'toolCalls', 'tool_calls') : message;
}

function renamed<K extends string>(
  value: Readonly<Record<K, unknown>>,
  from: K,
  to: string,
): object {
  const { [from]: field, ...rest } = value;
  return { ...rest, [to]: field };
}
