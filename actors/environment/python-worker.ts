import { resolve } from 'node:path';
import type { EpisodeMessage, TurnRequest } from '../../src/environment/environment.ts';
import { checkEnvironmentFile } from '../../src/environment/load.ts';
import type { Logger } from '../runtime/actor.ts';
import { PythonProcess } from '../user-code/python-process.ts';
import { LOAD_LIMIT_MS, titleOf } from '../user-code/user-code.ts';
import type { EnvironmentProps, EnvironmentWorker } from './worker.ts';

/** CPUs that libraries of an environment may use. */
const CPUS = 1;

/** A Python environment in a process of its own, which is ended where it hangs and started again by the next turn. */
export function pythonWorker(props: EnvironmentProps, logger: Logger): EnvironmentWorker {
  let process: PythonProcess | undefined;
  return {
    async ask(request, limitMs, signal) {
      if (process?.isAlive !== true) process = await started(props, logger, signal);
      return process.ask(request && inPython(request), limitMs, signal);
    },
    [Symbol.asyncDispose]: async () => {
      await process?.end();
    },
  };
}

async function started(
  { source, kwargs, python }: EnvironmentProps,
  logger: Logger,
  signal: AbortSignal,
): Promise<PythonProcess> {
  const file = resolve(source.file);
  await checkEnvironmentFile(file);
  const process = new PythonProcess(
    {
      ...{ python, cpus: CPUS, pythonKey: 'worker.rollout.multi_turn.python' },
      ...{ kind: 'environment', title: titleOf(source), code: 'ENVIRONMENT_INVALID' },
    },
    logger,
  );
  const request = { file, function: source.name, type: 'environment', kwargs };
  try {
    await process.ask(request, LOAD_LIMIT_MS, signal);
    return process;
  } catch (thrown) {
    await process.end();
    throw thrown;
  }
}

/** A request in Python's spelling. */
function inPython({ start, steps, ...rest }: TurnRequest): object {
  return {
    ...rest,
    start: start && spelt(start, 'groundTruth', 'ground_truth'),
    steps: steps.map((messages) => messages.map(messageInPython)),
  };
}

function messageInPython(message: EpisodeMessage): object {
  return 'toolCalls' in message ? spelt(message, 'toolCalls', 'tool_calls') : message;
}

function spelt<K extends string>(value: Readonly<Record<K, unknown>>, from: K, to: string): object {
  const { [from]: renamed, ...rest } = value;
  return { ...rest, [to]: renamed };
}
