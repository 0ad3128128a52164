import type { RewardFile } from '../../src/config/names.ts';
import type { Answer } from '../../src/data/row.ts';
import { outcomeOf, type Outcome } from '../../src/reward/outcome.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import { rewardFunction, type RewardType } from '../../src/reward/user-function.ts';
import type { Logger } from '../runtime/actor.ts';
import { PythonCode } from '../user-code/python-code.ts';
import { threadCode, titleOf, type UserCode } from '../user-code/user-code.ts';

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

/** A user's function, run where it cannot take the actor down with it. */
export class Scorer implements AsyncDisposable {
  readonly #code: UserCode<Batch>;
  readonly #isPython: boolean;

  constructor({ python, cpus, ...props }: ScorerProps, logger: Logger) {
    const { source, kwargs, rewardType: type } = props;
    const names = { ...rewardFunction, title: titleOf(source) };
    this.#isPython = source.file.endsWith('.py');
    if (this.#isPython) {
      const interpreter = { python, cpus, pythonKey: 'worker.reward.python' };
      const loading = { source, kwargs, type, spelt };
      this.#code = new PythonCode({ ...names, ...interpreter, ...loading }, logger);
    } else {
      const module = new URL('./function-thread.ts', import.meta.url);
      this.#code = threadCode(names, { module, create: 'createScorer', props }, logger);
    }
  }

  /** Loads the function. @throws REWARD_INVALID when that fails */
  start(signal: AbortSignal): Promise<void> {
    return this.#code.start(signal);
  }

  /**
   * Scores a batch; one call at a time.
   *
   * @throws SHAPE_MISMATCH for another number of scores than responses; ACTOR_TIMEOUT when the function took longer
   *   than `limitMs` and was ended; REWARD_INVALID when it threw or died, with a message that continues the function's
   *   name; the signal's reason
   */
  async score(batch: Batch, limitMs: number, signal: AbortSignal): Promise<Outcome[]> {
    const scores = await this.#code.call(batch, limitMs, signal);
    return this.#isPython ? (scores as PythonScore[]).map(outcomeIn) : (scores as Outcome[]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#code[Symbol.asyncDispose]();
  }
}

/** Reply of `host.py` for one response. */
type PythonScore = { readonly score: unknown } | { readonly problem: string };

function outcomeIn(reply: PythonScore): Outcome {
  return 'score' in reply ? outcomeOf(reply.score) : { problem: reply.problem };
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
