/** The reward actor of a function: a built-in one on its own thread, or a user's file in a sandbox. */
import { rewardFileOf } from '../../src/config/names.ts';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import { scoreWithFaults } from '../../src/reward/fault-search.ts';
import { outcomeOf, type Outcome } from '../../src/reward/outcome.ts';
import { builtInReward } from '../../src/reward/registry.ts';
import type { RewardType } from '../../src/reward/user-function.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { actorFactory } from '../runtime/actor.ts';
import { rewardProtocol } from './protocol.ts';
import { openScorer, scoreBy } from './scorer.ts';
import { scoringActor, type Score } from './scoring.ts';

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

/** Makes a reward actor on its thread; a user's function is loaded before it takes messages. */
export const rewardActor = actorFactory(
  rewardProtocol,
  async ({ rewardFunction, kwargs, file = usualFile, ...props }: RewardProps, { logger }) => {
    const { rewardType, limitMs, skipsInvalid, python, cpus } = file;
    const { tokenizerPath, skipSpecialTokens } = props;
    // Before the user's code, which would have to be ended if this failed.
    const tokenizer = Tokenizer.load(tokenizerPath);
    const named = ['function', rewardFunction] as const;
    const options = { tokenizer, skipSpecialTokens, skipsInvalid, named };
    const source = rewardFileOf(rewardFunction);
    if (source === undefined) {
      const reward = builtInReward(rewardFunction, kwargs);
      const outcomesOf: Outcomes = async (batch) => (await reward.score(batch)).map(outcomeOf);
      return scoringActor(options, scoreOf(rewardFunction, outcomesOf));
    }
    const owned = openScorer({ source, kwargs, rewardType, python, cpus }, logger);
    await owned.start(new AbortController().signal);
    const outcomesOf: Outcomes = (batch, signal) =>
      scoreWithFaults((some, timeMs) => scoreBy(owned, some, timeMs, signal), batch, {
        limitMs,
        stopsAtFirst: !skipsInvalid,
        signal,
      });
    return scoringActor({ ...options, owned }, scoreOf(rewardFunction, outcomesOf));
  },
);

type Outcomes = (...of: Parameters<Score>) => Promise<(Outcome | undefined)[]>;

/** Scores by a function, whose name is in the error of a batch that it fails over as a whole. */
function scoreOf(rewardFunction: string, outcomesOf: Outcomes): Score {
  return async (batch, signal) => {
    try {
      return { outcomes: await outcomesOf(batch, signal), counts: {} };
    } catch (cause) {
      if (signal.aborted) throw cause;
      const why = `a batch of ${batch.length} responses: ${asCxmindError(cause).message}`;
      throw new CxmindError('REWARD_INVALID', `${rewardFunction}: ${why}`, { cause });
    }
  };
}
