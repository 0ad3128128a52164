import type { JudgeSettings } from '../../src/config/judge-schema.ts';
import { isTemplateText } from '../../src/config/derive.ts';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import { readWhole } from '../../src/files.ts';
import { openAskedModel } from '../../src/reward/judge/asked-model.ts';
import { Judge, usualPattern } from '../../src/reward/judge/judge.ts';
import { Tokenizer } from '../../src/text/tokenizer.ts';
import { rewardProtocol } from '../reward/protocol.ts';
import { scoringActor } from '../reward/scoring.ts';
import { actorFactory } from '../runtime/actor.ts';

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

/**
 * Makes a judge on its thread: a reward actor whose scores are the judgements of a language model elsewhere.
 *
 * @throws CONFIG_INVALID for a key, a template or a cache that is not there
 */
export const judgeActor = actorFactory(rewardProtocol, async (props: JudgeProps, { logger }) => {
  const { name, judge: settings, firstDelayMs, tokenizerPath, ...scoring } = props;
  const tokenizer = Tokenizer.load(tokenizerPath);
  const warn = (message: string): void => logger.warn({ reward: name }, message);
  const environment = process.env;
  const asked = await openAskedModel(settings, { name, environment, warn, firstDelayMs });
  const template = await templateOf(settings.promptTemplate);
  const scorePattern = settings.scorePattern ?? usualPattern;
  const judge = new Judge({ ...settings, template, scorePattern }, asked);
  return scoringActor({ ...scoring, tokenizer, named: ['reward', name] }, async (batch, signal) => {
    const { outcomes, counts, firstFailure } = await judge.score(batch, signal);
    if (firstFailure !== null) {
      logger.warn({ reward: name, failed: counts.failed, why: firstFailure }, 'judge failed');
    }
    return { outcomes, counts };
  });
});

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
