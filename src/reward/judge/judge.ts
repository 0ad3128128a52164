/**
 * A judge: a language model behind an OpenAI-compatible endpoint that grades responses (LLM as a judge,
 * arXiv:2306.05685, single-answer grading).
 *
 * The prompt of a judge is a Jinja template over the prompt, the response and the row. Its answer is text, out of which
 * a pattern reads the grade, and the reward is the grade's share of the highest one.
 */
import type { Answer } from '../../data/row.ts';
import { CxmindError, messageOf } from '../../errors.ts';
import { JinjaTemplate } from '../../text/jinja.ts';
import type { Outcome } from '../outcome.ts';
import type { RewardInput } from '../reward.ts';
import { Asking, type AskedModel, type AskingCounts } from './asked-model.ts';
import type { ChatRequest } from './chat-client.ts';

/** Template of a judge whose config has none. */
const usualTemplate = `Grade the response of an assistant to a question.

[Question]
{{ prompt }}

[Reference answer]
{{ ground_truth }}

[Response]
{{ response }}

Judge whether the response is right and says what the reference answer says. Explain your judgement in a few sentences.
Then write a last line of this form, with a number from 0 (wrong) to {{ max_score }} (right):
Score: <number>`;

/** Pattern of the grade in an answer of a judge whose config has none. */
export const usualPattern = String.raw`score"?\s*[:=]\s*\**\s*(-?\d+(?:\.\d+)?)`;

/** Prompt of a judge, and the reading of its answers. */
export interface JudgeOptions {
  readonly model: string;
  /** System turn of every request; null is none. */
  readonly systemPrompt: string | null;
  /** Jinja source of the user turn, or null for the usual one. */
  readonly template: string | null;
  /** Regular expression whose first group is the grade; its last match counts. */
  readonly scorePattern: string;
  /** Highest grade; the lowest is 0. */
  readonly maxScore: number;
  readonly temperature: number;
  readonly maxTokens: number;
  /** `fail` has a response without a grade not be scored; `value` gives it `errorValue`. */
  readonly onError: 'fail' | 'value';
  readonly errorValue: number;
}

/** Costs of judging some responses, by metric. */
type JudgeCounts = AskingCounts & { failed: number };

/** Scores of a batch, in order, and what they took. */
export interface Judgement {
  readonly outcomes: Outcome[];
  readonly counts: JudgeCounts;
  /** Reason of the first response without a grade; null if all have one. */
  readonly firstFailure: string | null;
}

/** A judge of responses. */
export class Judge {
  readonly #options: JudgeOptions;
  readonly #asked: AskedModel;
  readonly #template: JinjaTemplate;
  readonly #pattern: RegExp;

  /**
   * @param asked the model that judges
   * @throws CONFIG_INVALID if the template does not parse
   */
  constructor(options: JudgeOptions, asked: AskedModel) {
    this.#options = options;
    this.#asked = asked;
    this.#template = new JinjaTemplate(options.template ?? usualTemplate, {
      ...{ origin: 'judge: prompt_template', code: 'CONFIG_INVALID', trimBlocks: true },
    });
    this.#pattern = new RegExp(options.scorePattern, 'gi');
  }

  /**
   * Grades a batch. Responses that make the same request share its answer.
   *
   * @throws CONFIG_INVALID for a template that raises an error, and for an address or a key that the server refuses; the
   *   signal's reason
   */
  async score(batch: readonly RewardInput<Answer>[], signal: AbortSignal): Promise<Judgement> {
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    const asking = new Asking<number>(this.#asked, either);
    let failed = 0;
    const problems: (string | null)[] = batch.map(() => null);
    const scored = batch.map(async (input, i): Promise<Outcome> => {
      try {
        const answer = asking.answer(this.#requestFor(input), (content) => this.#gradeIn(content));
        return { parts: { overall: await answer } };
      } catch (error) {
        if (either.aborted || error instanceof CxmindError) {
          stop.abort(error);
          throw error;
        }
        failed++;
        const problem = `judge: ${messageOf(error)}`;
        problems[i] = problem;
        const { onError, errorValue } = this.#options;
        return onError === 'fail' ? { problem } : { parts: { overall: errorValue } };
      }
    });
    await Promise.allSettled(scored);
    signal.throwIfAborted();
    stop.signal.throwIfAborted();
    const outcomes = await Promise.all(scored);
    const counts = { ...asking.counts, failed };
    return { outcomes, counts, firstFailure: problems.find((one) => one !== null) ?? null };
  }

  #requestFor({
    prompt,
    messages,
    columns,
    response,
    groundTruth,
  }: RewardInput<Answer>): ChatRequest {
    const { model, systemPrompt, temperature, maxTokens, maxScore } = this.#options;
    const variables = { prompt, messages, columns, response, max_score: maxScore };
    const content = this.#template.render({ ...variables, ground_truth: groundTruth });
    const system =
      systemPrompt === null ? [] : [{ role: 'system' as const, content: systemPrompt }];
    const turns = [...system, { role: 'user' as const, content }];
    return { model, messages: turns, temperature, max_tokens: maxTokens };
  }

  /** The reward that an answer gives, in [0, 1]. @throws Error if it has no grade, or one out of bounds */
  #gradeIn(answer: string): number {
    const { maxScore } = this.#options;
    const found = [...answer.matchAll(this.#pattern)].at(-1)?.[1];
    const end = answer.trim().slice(-100);
    if (found === undefined) throw new Error(`no score in the answer: …${end}`);
    const grade = Number(found);
    if (grade >= 0 && grade <= maxScore) return grade / maxScore;
    throw new Error(`the score ${found} is not in [0, ${maxScore}]`);
  }
}
