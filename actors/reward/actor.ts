import { rewardFileOf } from '../../src/config/names.ts';
import type { Answer } from '../../src/data/row.ts';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import { scoreWithFaults } from '../../src/reward/fault-search.ts';
import { outcomeOf, type Outcome } from '../../src/reward/outcome.ts';
import { builtInReward } from '../../src/reward/registry.ts';
import type { RewardInput } from '../../src/reward/reward.ts';
import type { RewardType } from '../../src/reward/user-function.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { actorFactory, type Actor, type Context } from '../runtime/actor.ts';
import { rewardProtocol, type ScoreReply, type ScoreRequest } from './protocol.ts';
import { rewardInputs } from './inputs.ts';
import { Scorer } from './scorer.ts';

/** Props of a reward actor. */
export interface RewardProps {
  readonly tokenizerPath: string;
  /** A built-in's name or `./file:function`, TypeScript, JavaScript or Python. */
  readonly rewardFunction: string;
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly skipSpecialTokens: boolean;
  /** Options of a user's file; a built-in has none. */
  readonly file?: FileOptions;
}

/** Options by which a user's file is run. */
export interface FileOptions {
  /** Form of the calls, unless the file names its own. */
  readonly rewardType: RewardType;
  /** Limit of a call, in milliseconds. */
  readonly limitMs: number;
  /** True where a response that cannot be scored is part of the reply, not an error. */
  readonly skipsInvalid: boolean;
  /** Interpreter of Python files, and the CPUs that their libraries may use. */
  readonly python: string;
  readonly cpus: number;
}

const usualFile: FileOptions = {
  rewardType: 'batch',
  limitMs: 60_000,
  skipsInvalid: false,
  python: 'python3',
  cpus: 1,
};

/** Scores a batch. An outcome is undefined when an earlier response failed and this one was not scored. */
export type Score = (
  batch: readonly RewardInput<Answer>[],
  signal: AbortSignal,
) => Promise<(Outcome | undefined)[]>;

/** A reward actor: decodes responses and scores them. */
export class RewardActor implements Actor<typeof rewardProtocol> {
  readonly #tokenizer: Tokenizer;
  readonly #score: Score;
  readonly #props: RewardProps;
  readonly #scorer: Scorer | undefined;

  /** @param scorer runs `score` and ends with the actor */
  constructor(tokenizer: Tokenizer, score: Score, props: RewardProps, scorer?: Scorer) {
    this.#tokenizer = tokenizer;
    this.#score = score;
    this.#props = props;
    this.#scorer = scorer;
  }

  async score(request: ScoreRequest, { signal }: Context): Promise<ScoreReply> {
    const { skipSpecialTokens, rewardFunction, file } = this.#props;
    const { responses } = request;
    const batch = rewardInputs(request, this.#tokenizer, skipSpecialTokens);
    const outcomes = await this.#score(batch, signal).catch((thrown: unknown) => {
      if (signal.aborted) throw thrown;
      const why = `a batch of ${batch.length} responses: ${asCxmindError(thrown).message}`;
      throw new CxmindError('REWARD_INVALID', `${rewardFunction}: ${why}`, { cause: thrown });
    });
    const scored = outcomes.map((outcome, i) => ({
      text: batch[i]!.response,
      parts: outcome !== undefined && 'parts' in outcome ? outcome.parts : null,
      problem: outcome !== undefined && 'problem' in outcome ? outcome.problem : null,
    }));
    const index = scored.findIndex(({ problem }) => problem !== null);
    if (index < 0 || file?.skipsInvalid === true) return { scored, counts: {} };
    throw new CxmindError(
      'REWARD_INVALID',
      `${rewardFunction}: ${responses[index]!.name}: ${scored[index]!.problem}`,
      { detail: { function: rewardFunction, response: responses[index]!.name } },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scorer?.[Symbol.asyncDispose]();
  }
}

/** Makes a reward actor on its thread; a user's function is loaded before it takes messages. */
export const rewardActor = actorFactory(
  rewardProtocol,
  async (props: RewardProps, { logger }): Promise<RewardActor> => {
    const { rewardFunction: spec, kwargs } = props;
    const tokenizer = Tokenizer.load(props.tokenizerPath);
    const source = rewardFileOf(spec);
    if (source === undefined) {
      const reward = builtInReward(spec, kwargs);
      const score: Score = async (batch) => (await reward.score(batch)).map(outcomeOf);
      return new RewardActor(tokenizer, score, props);
    }
    const { rewardType, limitMs, skipsInvalid, python, cpus } = props.file ?? usualFile;
    const scorer = new Scorer({ source, kwargs, rewardType, python, cpus }, logger);
    await scorer.start(new AbortController().signal);
    const score: Score = (batch, signal) =>
      scoreWithFaults((some, timeMs) => scorer.score(some, timeMs, signal), batch, {
        limitMs,
        stopsAtFirst: !skipsInvalid,
        signal,
      });
    return new RewardActor(tokenizer, score, props, scorer);
  },
);
