import * as t from 'io-ts';
import { isLeft } from 'fp-ts/lib/Either.js';
import { formatIssue, issuesOf } from '../check/issues.ts';
import type { RewardFile } from '../config/names.ts';
import { CxmindError } from '../errors.ts';
import { exportedFunction } from '../reward/user-file.ts';
import { Tool } from '../text/chat-template.ts';
import {
  EnvironmentReply,
  type Environment,
  type EnvironmentFunction,
  type TurnReply,
  type TurnRequest,
} from './environment.ts';

/** Kind of the functions that make environments. */
export const userEnvironment = { kind: 'environment', code: 'ENVIRONMENT_INVALID' } as const;

/** A user's environment on this thread: it plays the turns of many episodes. */
export interface EnvironmentHost {
  readonly tools: readonly Tool[];
  /** Plays a turn. @throws what the user's code throws */
  readonly play: (request: TurnRequest) => Promise<TurnReply>;
}

/**
 * Loads a user's environment from a JavaScript or TypeScript file. The path is relative to the working directory.
 *
 * @throws ENVIRONMENT_INVALID for a file that does not load or has no such function
 */
export async function loadEnvironment(
  file: RewardFile,
  kwargs: Readonly<Record<string, unknown>>,
): Promise<EnvironmentHost> {
  const { candidate } = await exportedFunction(file, userEnvironment);
  const make = candidate as EnvironmentFunction;
  const { tools = [] } = make(kwargs);
  const episodes = new Map<string, Environment>();
  return {
    tools,
    async play({ id, start, steps, over }) {
      for (const ended of over) episodes.delete(ended);
      if (start !== null) {
        const fresh = make(kwargs);
        await fresh.reset(start);
        episodes.set(id, fresh);
      }
      const environment = episodes.get(id);
      if (environment === undefined) return { unknown: true };
      let reply: unknown;
      for (const messages of steps) reply = await environment.step(messages);
      return { reply };
    },
  };
}

/** The tools that an environment names. @throws ENVIRONMENT_INVALID naming what is wrong with them */
export function toolsOf(value: unknown): Tool[] {
  return decoded(t.array(Tool), value, 'tools');
}

/** The reply that a step of an environment returned. @throws ENVIRONMENT_INVALID naming what is wrong with it */
export function replyOf(value: unknown): EnvironmentReply {
  return decoded(EnvironmentReply, value, 'step');
}

function decoded<A>(codec: t.Type<A>, value: unknown, what: string): A {
  const result = codec.decode(value);
  if (!isLeft(result)) return result.right;
  const issues = issuesOf(codec, result.left).map(formatIssue).join('; ');
  throw new CxmindError('ENVIRONMENT_INVALID', `environment: ${what}: ${issues}`);
}
