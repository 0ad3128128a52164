/**
 * A judge: a language model behind an OpenAI-compatible endpoint that grades responses (LLM as a judge,
 * arXiv:2306.05685, single-answer grading).
 *
 * The prompt of a judge is a Jinja template over the prompt, the response and the row. Its answer is text, out of which
 * a pattern reads the grade, and the reward is the grade's share of the highest one.
 */
import { createHash } from 'node:crypto';
import type { Answer } from '../../data/row.ts';
import { CxmindError, messageOf } from '../../errors.ts';
import { JinjaTemplate } from '../../text/jinja.ts';
import type { Outcome } from '../outcome.ts';
import type { RewardInput } from '../reward.ts';
import type { AnswerCache } from './answer-cache.ts';
import type { ChatAnswer, ChatClient, ChatRequest } from './chat-client.ts';

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

/** Options of a judge. */
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
  /** Prices, in a currency of the user's. */
  readonly inputCostPerToken: number;
  readonly outputCostPerToken: number;
}

/** Costs of judging some responses, by metric. */
export type JudgeCounts = Record<
  'requests' | 'retries' | 'cached' | 'failed' | 'prompt_tokens' | 'completion_tokens' | 'cost',
  number
>;

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
  readonly #client: Pick<ChatClient, 'ask' | 'baseUrl'>;
  readonly #cache: AnswerCache | null;
  readonly #template: JinjaTemplate;
  readonly #pattern: RegExp;

  /**
   * @param cache keeps answers; null asks every time
   * @throws CONFIG_INVALID if the template does not parse
   */
  constructor(
    options: JudgeOptions,
    client: Pick<ChatClient, 'ask' | 'baseUrl'>,
    cache: AnswerCache | null,
  ) {
    this.#options = options;
    this.#client = client;
    this.#cache = cache;
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
    const counts: JudgeCounts = {
      ...{ requests: 0, retries: 0, cached: 0, failed: 0 },
      ...{ prompt_tokens: 0, completion_tokens: 0, cost: 0 },
    };
    const stop = new AbortController();
    const either = AbortSignal.any([signal, stop.signal]);
    const asked = new Map<string, Promise<number>>();
    const problems: (string | null)[] = batch.map(() => null);
    const scored = batch.map(async (input, i): Promise<Outcome> => {
      try {
        return { parts: { overall: await this.#grade(input, asked, counts, either) } };
      } catch (error) {
        if (either.aborted || error instanceof CxmindError) {
          stop.abort(error);
          throw error;
        }
        counts.failed++;
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
    return { outcomes, counts, firstFailure: problems.find((one) => one !== null) ?? null };
  }

  /** The reward of a response: by an answer of the cache, of a request under way, or of a new one. */
  async #grade(
    input: RewardInput<Answer>,
    asked: Map<string, Promise<number>>,
    counts: JudgeCounts,
    signal: AbortSignal,
  ): Promise<number> {
    const request = this.#requestFor(input);
    // Models of one name at two addresses are two judges.
    const asking = JSON.stringify([this.#client.baseUrl, request]);
    const key = createHash('sha256').update(asking).digest('hex');
    const known = this.#keptGrade(key) ?? asked.get(key);
    if (known !== undefined) {
      counts.cached++;
      return await known;
    }
    const grade = this.#ask(request, key, counts, signal);
    asked.set(key, grade);
    return await grade;
  }

  /** The grade in an answer of the cache. One that another pattern wrote there may have none, and is no hit. */
  #keptGrade(key: string): number | undefined {
    const kept = this.#cache?.get(key);
    try {
      return kept === undefined ? undefined : this.#gradeIn(kept);
    } catch {
      return undefined;
    }
  }

  async #ask(
    request: ChatRequest,
    key: string,
    counts: JudgeCounts,
    signal: AbortSignal,
  ): Promise<number> {
    counts.requests++;
    const answer = await this.#client.ask(request, signal, () => counts.retries++);
    this.#count(answer, counts);
    // An answer without a grade is not kept: another may have one.
    const grade = this.#gradeIn(answer.content);
    await this.#cache?.set(key, answer.content);
    return grade;
  }

  #count({ promptTokens, completionTokens }: ChatAnswer, counts: JudgeCounts): void {
    const { inputCostPerToken, outputCostPerToken } = this.#options;
    counts.prompt_tokens += promptTokens;
    counts.completion_tokens += completionTokens;
    counts.cost += promptTokens * inputCostPerToken + completionTokens * outputCostPerToken;
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
