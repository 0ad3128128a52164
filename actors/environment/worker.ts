import type { RewardFile } from '../../src/config/names.ts';
import type { EpisodeMessage, TurnRequest } from '../../src/environment/environment.ts';
import { userEnvironment } from '../../src/environment/load.ts';
import type { Logger } from '../runtime/actor.ts';
import { PythonCode } from '../user-code/python-code.ts';
import { threadCode, titleOf, type UserCode } from '../user-code/user-code.ts';

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

/** Makes a worker of an environment: a process for a Python file, else a thread. */
export function environmentWorker(props: EnvironmentProps, logger: Logger): EnvironmentWorker {
  const { source, kwargs, python } = props;
  const names = { ...userEnvironment, title: titleOf(source) };
  if (source.file.endsWith('.py')) {
    const interpreter = { python, cpus: CPUS, pythonKey: 'worker.rollout.multi_turn.python' };
    const loading = { source, kwargs, type: 'environment', spelt };
    return new PythonCode({ ...names, ...interpreter, ...loading }, logger);
  }
  const module = new URL('./environment-thread.ts', import.meta.url);
  return threadCode(names, { module, create: 'createEnvironment', props }, logger);
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
