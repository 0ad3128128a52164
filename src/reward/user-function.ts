import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { nearestOf } from '../config/issues.ts';
import { asCxmindError, CxmindError } from '../errors.ts';
import type { Reward, RewardInput, RewardParts } from './reward.ts';

/** `reward_function_kwargs` as the config has them. */
export type RewardKwargs = Readonly<Record<string, unknown>>;

/** What a user's file exports by default: all responses of a request in, as many maps out. */
export type BatchRewardFunction = (
  inputs: readonly RewardInput[],
  kwargs: RewardKwargs,
) => RewardParts[] | Promise<RewardParts[]>;

/** What it exports beside `export const REWARD_TYPE = 'sequential'`: one response in, one map out. */
export type SequentialRewardFunction = (
  input: RewardInput,
  kwargs: RewardKwargs,
) => RewardParts | Promise<RewardParts>;

/** Where the function is: `./file.ts:score`, split at the last colon; without one it is `main`. */
export function splitFunctionSpec(spec: string): { file: string; name: string } {
  const colon = spec.lastIndexOf(':');
  return colon < 0
    ? { file: spec, name: 'main' }
    : { file: spec.slice(0, colon), name: spec.slice(colon + 1) };
}

function invalid(message: string, detail: Record<string, unknown>, cause?: unknown): CxmindError {
  return new CxmindError('REWARD_INVALID', message, { detail, cause });
}

function describe(value: unknown): string {
  if (typeof value === 'number') return String(value);
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value;
  return 'an object';
}

/** The value as parts, or a throw that names the function and the response. */
function checkedParts(value: unknown, where: string, index: number): RewardParts {
  const fail = (what: string, part?: string): CxmindError =>
    invalid(`${where}: response ${index}: ${what}`, { where, index, ...(part && { part }) });
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw fail(`expected a map of numbers, got ${describe(value)}`);
  }
  const parts: Record<string, number> = {};
  for (const [key, number] of Object.entries(value as Record<string, unknown>)) {
    if (typeof number !== 'number' || !Number.isFinite(number)) {
      throw fail(`'${key}' is not a finite number but ${describe(number)}`, key);
    }
    parts[key] = number;
  }
  const { overall } = parts;
  if (overall === undefined) throw fail(`no 'overall' among its parts`, 'overall');
  return { ...parts, overall };
}

async function importFile(file: string): Promise<Record<string, unknown>> {
  const path = resolve(file);
  if (!existsSync(path)) throw invalid(`reward function: no such file: ${path}`, { file: path });
  try {
    return (await import(pathToFileURL(path).href)) as Record<string, unknown>;
  } catch (thrown) {
    const { message } = asCxmindError(thrown);
    throw invalid(`reward function: ${path} does not load: ${message}`, { file: path }, thrown);
  }
}

/**
 * A user's reward function, loaded from `./file.ts:function` relative to the working directory.
 *
 * The file may export `REWARD_TYPE` (`'batch'`, the default, or `'sequential'`) and `REWARD_NAME`. The
 * function gets inputs with the fields of `RewardInput`, in camelCase, and the kwargs as its second argument;
 * it may be async. What it returns is checked: as many maps as responses, finite numbers, `overall`.
 *
 * @throws REWARD_INVALID naming file and function; from `score`, also the response's index in the batch
 */
export async function loadUserReward(spec: string, kwargs: RewardKwargs): Promise<Reward> {
  const { file, name } = splitFunctionSpec(spec);
  const exported = await importFile(file);
  const where = `${file}:${name}`;
  const candidate = exported[name];
  if (typeof candidate !== 'function') {
    const functions = Object.keys(exported).filter((key) => typeof exported[key] === 'function');
    const nearest = nearestOf(name, functions);
    throw invalid(
      `reward function: ${file} exports no function '${name}'` +
        (nearest === undefined ? '' : `, nearest is '${nearest}'`),
      { file, function: name },
    );
  }
  const type = exported['REWARD_TYPE'] ?? 'batch';
  if (type !== 'batch' && type !== 'sequential') {
    throw invalid(`${file}: REWARD_TYPE is neither 'batch' nor 'sequential'`, { file, type });
  }
  const title = exported['REWARD_NAME'];
  const call = candidate as (inputs: unknown, kwargs: RewardKwargs) => unknown;

  const guarded = async (inputs: unknown, at: string, index?: number): Promise<unknown> => {
    try {
      return await call(inputs, kwargs);
    } catch (thrown) {
      const { message } = asCxmindError(thrown);
      throw invalid(`${where}: ${at} threw: ${message}`, { file, function: name, index }, thrown);
    }
  };

  const scoreBatch = async (batch: readonly RewardInput[]): Promise<RewardParts[]> => {
    const values = await guarded(batch, `a batch of ${batch.length} responses`);
    if (!Array.isArray(values) || values.length !== batch.length) {
      throw invalid(
        `${where}: expected an array of ${batch.length} maps, got ${describe(values)}`,
        { file, function: name },
      );
    }
    return values.map((value, index) => checkedParts(value, where, index));
  };

  const scoreEach = async (batch: readonly RewardInput[]): Promise<RewardParts[]> => {
    const scores: RewardParts[] = [];
    for (const [index, input] of batch.entries()) {
      const value = await guarded(input, `response ${index}`, index);
      scores.push(checkedParts(value, where, index));
    }
    return scores;
  };

  return {
    name: typeof title === 'string' ? title : where,
    score: type === 'batch' ? scoreBatch : scoreEach,
  };
}
