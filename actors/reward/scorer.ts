/** A user's reward function in any language: how it is opened, and how a batch is scored by it. */
import type { RewardFile } from '../../src/config/names.ts';
import type { Answer } from '../../src/data/row.ts';
import { outcomeOf, type Outcome } from '../../src/reward/outcome.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import { rewardFunction, type RewardType } from '../../src/reward/user-function.ts';
import type { Logger } from '../runtime/actor.ts';
import { openUserCode } from '../user-code/open.ts';
import type { UserCode } from '../user-code/user-code.ts';

type Batch = readonly RewardInput<Answer>[];

/** A user's function, and how it is loaded. */
export interface FunctionProps {
  readonly source: RewardFile;
  readonly kwargs: Readonly<Record<string, unknown>>;
  /** Form of the calls, unless the file names its own. */
  readonly rewardType: RewardType;
}

/** Props of a function in any language. */
export interface ScorerProps extends FunctionProps {
  /** Interpreter of a Python file. */
  readonly python: string;
  /** CPUs that its libraries may use. */
  readonly cpus: number;
}

/** Opens a user's function, run where it cannot take the actor down with it. */
export function openScorer(
  { python, cpus, ...props }: ScorerProps,
  logger: Logger,
): UserCode<Batch> {
  const { source, kwargs, rewardType: type } = props;
  return openUserCode(
    {
      ...{ source, kwargs, type, ...rewardFunction },
      ...{ python, cpus, pythonKey: 'worker.reward.python', spelt },
      thread: {
        module: new URL('./function-thread.ts', import.meta.url),
        create: 'createScorer',
        props,
      },
    },
    logger,
  );
}

/**
 * Scores a batch; one call at a time.
 *
 * @throws SHAPE_MISMATCH for another number of scores than responses; ACTOR_TIMEOUT when the function took longer
 *   than `limitMs` and was ended; REWARD_INVALID when it threw or died, with a message that continues the function's
 *   name; the signal's reason
 */
export async function scoreBy(
  scorer: UserCode<Batch>,
  batch: Batch,
  limitMs: number,
  signal: AbortSignal,
): Promise<Outcome[]> {
  const replies = (await scorer.call(batch, limitMs, signal)) as (Outcome | PythonScore)[];
  return replies.map((reply) => ('score' in reply ? outcomeOf(reply.score) : reply));
}

/** A score as `host.py` replies it, which nobody has checked. */
interface PythonScore {
  readonly score: unknown;
}

/** A batch in Python's spelling. */
function spelt(batch: Batch): object[] {
  return batch.map((input) => ({
    response: input.response,
    response_length: input.responseLength,
    ground_truth: input.groundTruth,
    prompt: input.prompt,
    messages: input.messages,
    columns: input.columns,
    response_ids: input.responseIds,
    finish_reason: input.finishReason,
  }));
}
