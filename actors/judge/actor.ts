import type { JudgeSettings } from '../../src/config/judge-schema.ts';
import { isTemplateText } from '../../src/config/derive.ts';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import { readWhole } from '../../src/files.ts';
import { openAskedModel } from '../../src/reward/judge/asked-model.ts';
import { Judge, usualPattern } from '../../src/reward/judge/judge.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { rewardInputs } from '../reward/inputs.ts';
import { rewardProtocol, type ScoreReply, type ScoreRequest } from '../reward/protocol.ts';
import { actorFactory, type Actor, type Context, type Logger } from '../runtime/actor.ts';

/** Props of a judge. */
export interface JudgeProps {
  /** Name of the reward, for logs and errors. */
  readonly name: string;
  readonly tokenizerPath: string;
  readonly skipSpecialTokens: boolean;
  readonly judge: JudgeSettings;
  /** True where a response that cannot be scored is part of the reply, not an error. */
  readonly skipsInvalid: boolean;
  /** Delay before the first retry; that of OpenAI's clients if absent. */
  readonly firstDelayMs?: number;
}

/** A reward actor whose scores are the judgements of a language model elsewhere. */
export class JudgeActor implements Actor<typeof rewardProtocol> {
  readonly #tokenizer: Tokenizer;
  readonly #judge: Judge;
  readonly #props: JudgeProps;
  readonly #logger: Logger;

  constructor(tokenizer: Tokenizer, judge: Judge, props: JudgeProps, logger: Logger) {
    this.#tokenizer = tokenizer;
    this.#judge = judge;
    this.#props = props;
    this.#logger = logger;
  }

  async score(request: ScoreRequest, { signal }: Context): Promise<ScoreReply> {
    const { name, skipSpecialTokens, skipsInvalid } = this.#props;
    const batch = rewardInputs(request, this.#tokenizer, skipSpecialTokens);
    const { outcomes, counts, firstFailure } = await this.#judge.score(batch, signal);
    if (firstFailure !== null) {
      this.#logger.warn({ reward: name, failed: counts.failed, why: firstFailure }, 'judge failed');
    }
    const scored = outcomes.map((outcome, i) => ({
      text: batch[i]!.response,
      parts: 'parts' in outcome ? outcome.parts : null,
      problem: 'problem' in outcome ? outcome.problem : null,
    }));
    const index = scored.findIndex(({ problem }) => problem !== null);
    if (index < 0 || skipsInvalid) return { scored, counts };
    const response = request.responses[index]!.name;
    throw new CxmindError('REWARD_INVALID', `${name}: ${response}: ${scored[index]!.problem}`, {
      detail: { reward: name, response },
    });
  }
}

/** Makes a judge on its thread. @throws CONFIG_INVALID for a key, a template or a cache that is not there */
export const judgeActor = actorFactory(
  rewardProtocol,
  async (props: JudgeProps, { logger }): Promise<JudgeActor> => {
    const { name, judge, firstDelayMs } = props;
    const warn = (message: string): void => logger.warn({ reward: name }, message);
    const environment = process.env;
    const asked = await openAskedModel(judge, { name, environment, warn, firstDelayMs });
    const template = await templateOf(judge.promptTemplate);
    const scorePattern = judge.scorePattern ?? usualPattern;
    const options = { ...judge, template, scorePattern };
    const tokenizer = Tokenizer.load(props.tokenizerPath);
    return new JudgeActor(tokenizer, new Judge(options, asked), props, logger);
  },
);

/** The source of a template that is given as text or by its file. */
async function templateOf(given: string | null): Promise<string | null> {
  if (given === null || isTemplateText(given)) return given;
  try {
    return (await readWhole(given)).toString();
  } catch (cause) {
    const { message } = asCxmindError(cause);
    throw new CxmindError('CONFIG_INVALID', `judge: prompt_template ${given}: ${message}`, {
      cause,
    });
  }
}
