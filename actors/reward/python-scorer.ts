import { resolve } from 'node:path';
import type { Answer } from '../../src/data/row.ts';
import { outcomeOf, type Outcome } from '../../src/reward/outcome.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import { checkRewardFile } from '../../src/reward/user-function.ts';
import type { Logger } from '../runtime/actor.ts';
import { PythonProcess } from '../user-code/python-process.ts';
import { LOAD_LIMIT_MS, titleOf } from '../user-code/user-code.ts';
import { loadError, type FunctionProps, type Scorer } from './scorer.ts';

/** Props of a Python function's process. */
export interface PythonProps extends FunctionProps {
  /** The interpreter. */
  readonly python: string;
  /** CPUs its libraries may use. */
  readonly cpus: number;
}

/** A Python function in a process of its own, which is ended where it hangs and started again by the next call. */
export class PythonScorer implements Scorer {
  readonly #props: PythonProps;
  readonly #logger: Logger;
  #process: PythonProcess | undefined;

  constructor(props: PythonProps, logger: Logger) {
    this.#props = props;
    this.#logger = logger;
  }

  async start(signal: AbortSignal): Promise<void> {
    if (this.#process?.isAlive === true) return;
    const { source, kwargs, rewardType } = this.#props;
    const path = resolve(source.file);
    await checkRewardFile(path);
    const { python, cpus } = this.#props;
    const process = new PythonProcess(
      {
        ...{ python, cpus, pythonKey: 'worker.reward.python', title: titleOf(source) },
        ...{ kind: 'reward function', code: 'REWARD_INVALID' },
      },
      this.#logger,
    );
    this.#process = process;
    const request = { file: path, function: source.name, type: rewardType, kwargs };
    try {
      const title = await process.ask(request, LOAD_LIMIT_MS, signal);
      this.#logger.info(
        { function: titleOf(source), reward: title, pid: process.pid },
        'python reward loaded',
      );
    } catch (thrown) {
      await process.end();
      if (signal.aborted) throw thrown;
      throw loadError(source, thrown);
    }
  }

  async score(
    batch: readonly RewardInput<Answer>[],
    limitMs: number,
    signal: AbortSignal,
  ): Promise<Outcome[]> {
    await this.start(signal);
    const request = batch.map((input) => ({
      response: input.response,
      response_length: input.responseLength,
      ground_truth: input.groundTruth,
      prompt: input.prompt,
      messages: input.messages,
      columns: input.columns,
      response_ids: input.responseIds,
      finish_reason: input.finishReason,
    }));
    const scores = (await this.#process!.ask(request, limitMs, signal)) as readonly PythonScore[];
    return scores.map((one) => ('score' in one ? outcomeOf(one.score) : { problem: one.problem }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process?.end();
  }
}

/** Reply of `host.py` for one response. */
type PythonScore = { readonly score: unknown } | { readonly problem: string };
