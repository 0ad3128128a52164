import type { TurnRequest } from '../../src/environment/environment.ts';
import { loadEnvironment } from '../../src/environment/load.ts';
import type { EnvironmentProps } from './worker.ts';

/** Loads a user's environment on the thread of a sandbox; a call without a request asks for its tools. */
export async function createEnvironment({
  source,
  kwargs,
}: EnvironmentProps): Promise<(request: TurnRequest | null) => Promise<unknown>> {
  const host = await loadEnvironment(source, kwargs);
  return async (request) => (request === null ? host.tools : await host.play(request));
}
