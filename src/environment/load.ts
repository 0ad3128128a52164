import { resolve } from 'node:path';
import * as t from 'io-ts';
import { isLeft } from 'fp-ts/lib/Either.js';
import { formatIssue, issuesOf } from '../check/issues.ts';
import { nearestOf } from '../check/nearest.ts';
import type { RewardFile } from '../config/names.ts';
import { asCxmindError, CxmindError } from '../errors.ts';
import { openToRead } from '../files.ts';
import { importFile } from '../reward/import-file.ts';
import { Tool } from '../text/chat-template.ts';
import {
  EnvironmentReply,
  type Environment,
  type EnvironmentFunction,
  type TurnReply,
  type TurnRequest,
} from './environment.ts';

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
  { file, name }: RewardFile,
  kwargs: Readonly<Record<string, unknown>>,
): Promise<EnvironmentHost> {
  const exported = await exportsOf(file);
  const candidate = exported[name];
  if (typeof candidate !== 'function') {
    const functions = Object.keys(exported).filter((key) => typeof exported[key] === 'function');
    const nearest = nearestOf(name, functions);
    const meant = nearest === undefined ? '' : `, nearest is '${nearest}'`;
    throw invalid(`${file} exports no function '${name}'${meant}`);
  }
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

/** Checks that a file with an environment can be read. @throws ENVIRONMENT_INVALID */
export async function checkEnvironmentFile(path: string): Promise<void> {
  try {
    await using _ = await openToRead(path);
  } catch (cause) {
    throw invalid(`${asCxmindError(cause).message}: ${path}`, cause);
  }
}

async function exportsOf(file: string): Promise<Record<string, unknown>> {
  const path = resolve(file);
  await checkEnvironmentFile(path);
  try {
    return await importFile(path);
  } catch (thrown) {
    throw invalid(`${path} does not load: ${asCxmindError(thrown).message}`, thrown);
  }
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
  throw invalid(`${what}: ${issues}`);
}

function invalid(message: string, cause?: unknown): CxmindError {
  return new CxmindError('ENVIRONMENT_INVALID', `environment: ${message}`, { cause });
}
