/** Reward functions in users' JavaScript and TypeScript files, called on the thread that loads them. */
import type { RewardFile } from '../config/names.ts';
import type { Answer } from '../data/row.ts';
import { asCxmindError, CxmindError, type ErrorDetail } from '../errors.ts';
import { outcomeOf, outcomesOf, type Outcome } from './outcome.ts';
import type { Reward, RewardInput, RewardParts } from './reward.ts';
import { exportedFunction } from './user-file.ts';

/** `reward_function_kwargs` as the config has them. */
export type RewardKwargs = Readonly<Record<string, unknown>>;

/** Call style of a function: with all responses of a request at once, or with one at a time. */
export type RewardType = 'batch' | 'sequential';

/** Reward function of the type `batch`, the default: all responses of a request in, as many maps out. */
export type BatchRewardFunction = (
  inputs: readonly RewardInput[],
  kwargs: RewardKwargs,
) => RewardParts[] | Promise<RewardParts[]>;

/** Reward function of a file with `export const REWARD_TYPE = 'sequential'`: one response in, one map out. */
export type SequentialRewardFunction = (
  input: RewardInput,
  kwargs: RewardKwargs,
) => RewardParts | Promise<RewardParts>;

/** User's function, ready to be called on this thread. */
export interface UserFunction {
  /** `REWARD_NAME`, or file and function. */
  readonly name: string;
  /**
   * Scores a batch, one outcome for each response.
   *
   * @throws REWARD_INVALID if the function throws over a batch; SHAPE_MISMATCH if it does not return one value for
   *   each response
   */
  score(batch: readonly RewardInput<Answer>[]): Promise<Outcome[]>;
}

/** Kind of the functions that score. */
export const rewardFunction = { kind: 'reward function', code: 'REWARD_INVALID' } as const;

function invalid(message: string, detail: ErrorDetail, cause?: unknown): CxmindError {
  return new CxmindError('REWARD_INVALID', message, { detail, cause });
}

/**
 * Loads a user's function from a JavaScript or TypeScript file. The path is relative to the working directory.
 *
 * The file may export `REWARD_TYPE` and `REWARD_NAME`. The function gets inputs with the fields of `RewardInput`, in
 * camelCase, and the kwargs as its second argument. It may be async.
 *
 * @param usualType call style of a file without `REWARD_TYPE`
 * @throws REWARD_INVALID for a file that does not load or has no such function
 */
export async function loadUserFunction(
  { file, name }: RewardFile,
  kwargs: RewardKwargs,
  usualType: RewardType = 'batch',
): Promise<UserFunction> {
  const { exported, candidate } = await exportedFunction({ file, name }, rewardFunction);
  const type = exported['REWARD_TYPE'] ?? usualType;
  if (type !== 'batch' && type !== 'sequential') {
    throw invalid(`${file}: REWARD_TYPE is neither 'batch' nor 'sequential'`, { file, type });
  }
  const title = exported['REWARD_NAME'];
  const call = candidate as (inputs: unknown, kwargs: RewardKwargs) => unknown;

  const scoreBatch = async (batch: readonly RewardInput<Answer>[]): Promise<Outcome[]> => {
    let values: unknown;
    try {
      values = await call(batch, kwargs);
    } catch (thrown) {
      throw invalid(`threw: ${asCxmindError(thrown).message}`, { file, function: name }, thrown);
    }
    return outcomesOf(values, batch.length);
  };

  const scoreEach = (batch: readonly RewardInput<Answer>[]): Promise<Outcome[]> =>
    Array.fromAsync(batch, async (input) => {
      try {
        return outcomeOf(await call(input, kwargs));
      } catch (thrown) {
        return { problem: `threw: ${asCxmindError(thrown).message}` };
      }
    });

  return {
    name: typeof title === 'string' ? title : `${file}:${name}`,
    score: type === 'batch' ? scoreBatch : scoreEach,
  };
}

/**
 * Loads a user's reward that runs on the calling thread. A function that hangs blocks that thread.
 *
 * @throws REWARD_INVALID naming file and function; from `score`, also the response's index in the batch
 */
export async function loadUserReward(source: RewardFile, kwargs: RewardKwargs): Promise<Reward> {
  const loaded = await loadUserFunction(source, kwargs);
  const spec = `${source.file}:${source.name}`;
  return {
    name: loaded.name,
    async score(batch) {
      let outcomes: Outcome[];
      try {
        outcomes = await loaded.score(batch);
      } catch (thrown) {
        const { message, detail } = asCxmindError(thrown);
        throw invalid(`${spec}: a batch of ${batch.length} responses: ${message}`, detail, thrown);
      }
      return outcomes.map((outcome, index) => {
        if ('parts' in outcome) return outcome.parts;
        throw invalid(`${spec}: response ${index}: ${outcome.problem}`, { spec, index });
      });
    },
  };
}
