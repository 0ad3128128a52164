import type { Logger } from '../runtime/actor.ts';
import { asCxmindError } from '../../src/errors.ts';
import { Sandbox, type SandboxOptions } from '../runtime/sandbox.ts';
import { PythonCode, type PythonCodeOptions } from './python-code.ts';
import { EXIT_LIMIT_MS, LOAD_LIMIT_MS, loadError, logPrinted, type UserCode } from './user-code.ts';

/** Options of a user's code in any language. */
interface CodeOptions<Request> extends Omit<PythonCodeOptions<Request>, 'title'> {
  /** Makes the function that is called, where the code is in JavaScript or TypeScript. */
  readonly thread: Pick<SandboxOptions, 'module' | 'create' | 'props'>;
}

/** Opens a user's code: a Python file in a process of its own, any other on a thread. Its first call loads it. */
export function openUserCode<Request>(
  { thread, ...options }: CodeOptions<Request>,
  logger: Logger,
): UserCode<Request> {
  const { source, kind, code } = options;
  const title = `${source.file}:${source.name}`;
  if (source.file.endsWith('.py')) return new PythonCode({ ...options, title }, logger);
  return new Sandbox({
    ...{ ...thread, name: title, startLimitMs: LOAD_LIMIT_MS, exitLimitMs: EXIT_LIMIT_MS },
    startError(thrown) {
      const error = asCxmindError(thrown);
      return error.code === code ? error : loadError({ kind, title, code }, error);
    },
    onOutput: (stream) => logPrinted(stream, logger, kind),
    onLoss: ({ message }) => logger.warn({ why: message }, `${kind} lost`),
  });
}
