import type { RewardFile } from '../../src/config/names.ts';
import type { TurnRequest } from '../../src/environment/environment.ts';
import type { Logger } from '../runtime/actor.ts';
import { Sandbox } from '../runtime/sandbox.ts';
import { EXIT_LIMIT_MS, LOAD_LIMIT_MS, logPrinted, titleOf } from '../user-code/user-code.ts';

/** A user's environment, and how it is loaded. */
export interface EnvironmentProps {
  readonly source: RewardFile;
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** Interpreter of a Python file. */
  readonly python: string;
}

/** Whoever runs a user's environment where it can take nobody down with it. One call runs at a time. */
export interface EnvironmentWorker extends AsyncDisposable {
  /**
   * Asks for the tools where the request is null, else plays a turn; starts what was lost.
   *
   * @throws ENVIRONMENT_INVALID, ACTOR_TIMEOUT, ACTOR_CRASHED; the signal's reason
   */
  ask(request: TurnRequest | null, limitMs: number, signal: AbortSignal): Promise<unknown>;
}

/** A JavaScript or TypeScript environment on a thread that is ended where it hangs. */
export function threadWorker(props: EnvironmentProps, logger: Logger): EnvironmentWorker {
  const sandbox = new Sandbox({
    name: titleOf(props.source),
    module: new URL('./environment-thread.ts', import.meta.url),
    create: 'createEnvironment',
    props,
    startLimitMs: LOAD_LIMIT_MS,
    exitLimitMs: EXIT_LIMIT_MS,
    onOutput: (stream) => logPrinted(stream, logger, 'environment'),
    onLoss: ({ message }) => logger.warn({ why: message }, 'environment lost'),
  });
  return {
    ask: (request, limitMs, signal) => sandbox.call(request, limitMs, signal),
    [Symbol.asyncDispose]: () => sandbox[Symbol.asyncDispose](),
  };
}
