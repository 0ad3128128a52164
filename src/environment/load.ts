/** Environments in users' files: they are loaded, their episodes are played, and what they return is checked. */
import * as t from 'io-ts';
import { decodeOrThrow, formatIssue, type Issue } from '../check/issues.ts';
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
  return decodeOrThrow(t.array(Tool), value, wrongIn('tools'));
}

/** The reply that a step of an environment returned. @throws ENVIRONMENT_INVALID naming what is wrong with it */
export function replyOf(value: unknown): EnvironmentReply {
  return decodeOrThrow(EnvironmentReply, value, wrongIn('step'));
}

function wrongIn(what: string): (issues: readonly Issue[]) => CxmindError {
  return (issues) => {
    const reasons = issues.map(formatIssue).join('; ');
    return new CxmindError('ENVIRONMENT_INVALID', `environment: ${what}: ${reasons}`);
  };
}
