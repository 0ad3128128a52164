/**
 * The judge of `eval --judge`: a model that is asked whether an open answer says what the reference says.
 *
 * The request and the reading of the reply are those of the released script. The endpoint, its retries and the cache are
 * those of the rewards: the model is the judge that the config has among its rewards, or else the script's, gpt-4o at
 * Azure OpenAI.
 */
import * as t from 'io-ts';
import type { JudgeSettings } from '../config/judge-schema.ts';
import { CxmindError, messageOf } from '../errors.ts';
import { AnswerCache } from '../reward/judge/answer-cache.ts';
import {
  Asking,
  openAskedModel,
  type AskedModel,
  type AskingCounts,
} from '../reward/judge/asked-model.ts';
import {
  ChatClient,
  type ChatClientOptions,
  type ChatRequest,
} from '../reward/judge/chat-client.ts';
import { readFloat, readInteger } from '../reward/python-text.ts';
import { trimSpace } from '../text/whitespace.ts';
import { wordVerdict, type Verdict } from './score.ts';

/** The script's model and sampling. */
const usual = { model: 'gpt-4o', temperature: 1, max_tokens: 512 };
/** Settings of the endpoint that the script lacks, as rewards have them. */
const patience = { timeoutMs: 60_000, maxRetries: 5, maxConcurrency: 16 };
/** Replies that are kept. */
const KEPT = 10_000;

const system = [
  'You compare the findings that an answer about a chest X-ray names with those of a reference.',
  'Synonyms and abbreviations count as equal. Reply with one JSON object and nothing else:',
  '{"correct": 1 if the answer names the same findings as the reference, else 0,',
  '"jaccard": findings in both divided by findings in either, from 0 to 1}',
].join(' ');

/** An answer and the reference that it is held against. */
export interface JudgedAnswer {
  readonly prediction: string;
  readonly gold: string;
}

/** The model of a judge, and what its requests have in common. */
export interface JudgeOptions {
  readonly asked: AskedModel;
  readonly form: Pick<ChatRequest, 'model' | 'temperature' | 'max_tokens'>;
}

/** Options of opening a judge: variables of the environment, and the cache. */
export interface OpenJudgeOptions {
  readonly environment: NodeJS.ProcessEnv;
  /** File that keeps replies, where the config names none. */
  readonly cachePath: string;
  /** Hears of the first reply that cannot be written. */
  readonly warn: (message: string) => void;
}

/**
 * Opens the judge that the config has among its rewards, or else the one that the environment names, by the variables of
 * the released script.
 *
 * @param configured the first judge among the rewards; undefined without any
 * @throws CONFIG_INVALID naming the variables that are not set, or a cache that cannot be read
 */
export async function openJudge(
  configured: { readonly name: string; readonly judge: JudgeSettings } | undefined,
  { environment, cachePath, warn }: OpenJudgeOptions,
): Promise<Judge> {
  if (configured !== undefined) {
    const { name, judge } = configured;
    const { model, temperature, maxTokens } = judge;
    const settings = { ...judge, cachePath: judge.cachePath ?? cachePath };
    const asked = await openAskedModel(settings, { name, environment, warn });
    return new Judge({ asked, form: { model, temperature, max_tokens: maxTokens } });
  }
  const client = new ChatClient({ ...azureAddress(environment), ...patience });
  const cache = await AnswerCache.open(KEPT, cachePath, warn);
  const asked = { client, cache, inputCostPerToken: 0, outputCostPerToken: 0 };
  return new Judge({ asked, form: usual });
}

/**
 * The address of a model at Azure OpenAI that the environment names.
 *
 * @throws CONFIG_INVALID naming the variables that are not set
 */
function azureAddress(
  environment: NodeJS.ProcessEnv,
): Required<Pick<ChatClientOptions, 'baseUrl' | 'apiKey' | 'azure'>> {
  const names = [
    'AZURE_OPENAI_ENDPOINT',
    'AZURE_OPENAI_API_KEY',
    'AZURE_OPENAI_API_VERSION',
  ] as const;
  const missing = names.filter((name) => (environment[name] ?? '') === '');
  if (missing.length > 0) {
    throw new CxmindError(
      'CONFIG_INVALID',
      `--judge: ${missing.join(', ')} not set, and worker.reward.reward_functions has no judge`,
    );
  }
  const [baseUrl, apiKey, apiVersion] = names.map((name) => environment[name]!);
  return {
    baseUrl: baseUrl!,
    apiKey: apiKey!,
    azure: { deployment: usual.model, apiVersion: apiVersion! },
  };
}

/** A model that is asked whether open answers say what their references say. */
export class Judge {
  /** Number of answers that the judge failed to judge, and the reason of the first. */
  readonly failures: { count: number; first: string | null } = { count: 0, first: null };
  /** Costs of the verdicts so far. */
  readonly counts: Partial<AskingCounts> = {};
  readonly #options: JudgeOptions;

  constructor(options: JudgeOptions) {
    this.#options = options;
  }

  /**
   * Gives the verdicts on answers: by words alone where the judge fails, 0 for an empty answer or a blank reference.
   *
   * @throws the signal's reason
   */
  async verdicts(answers: readonly JudgedAnswer[], signal: AbortSignal): Promise<Verdict[]> {
    const asking = new Asking<Verdict>(this.#options.asked, signal);
    const verdicts = await Promise.all(answers.map((answer) => this.#verdict(answer, asking)));
    signal.throwIfAborted();
    for (const [name, count] of Object.entries(asking.counts)) {
      const key = name as keyof AskingCounts;
      this.counts[key] = (this.counts[key] ?? 0) + count;
    }
    return verdicts;
  }

  async #verdict({ prediction, gold }: JudgedAnswer, asking: Asking<Verdict>): Promise<Verdict> {
    if (prediction === '' || trimSpace(gold) === '') return { correct: 0, jaccard: 0 };
    try {
      return await asking.answer(this.#requestFor(prediction, gold), (reply) =>
        readVerdict(reply, prediction, gold),
      );
    } catch (error) {
      this.failures.count++;
      this.failures.first ??= messageOf(error);
      return wordVerdict(prediction, gold);
    }
  }

  #requestFor(prediction: string, gold: string): ChatRequest {
    const user = `Reference:\n${gold}\n\nAnswer:\n${prediction}`;
    return {
      ...this.#options.form,
      messages: [
        { role: 'system', content: system },
        { role: 'user', content: user },
      ],
    };
  }
}

/**
 * The verdict in a reply, read as the released script does.
 *
 * Fences are left out. A missing `correct` is 0, a missing `jaccard` is that of the words, and either may be a truth
 * value or text.
 *
 * @throws Error when it is not the JSON that was asked for
 */
function readVerdict(reply: string, prediction: string, gold: string): Verdict {
  const json: unknown = JSON.parse(trimSpace(reply).replace(/```(?:json)?/g, ''));
  const given = t.UnknownRecord.is(json) ? json : { correct: null };
  const words = wordVerdict(prediction, gold);
  const correct = Math.trunc(numberOf('correct' in given ? given['correct'] : 0, readInteger));
  const jaccard = numberOf('jaccard' in given ? given['jaccard'] : words.jaccard, readFloat);
  if ((correct === 0 || correct === 1) && Number.isFinite(jaccard)) return { correct, jaccard };
  throw new Error(`the judge said ${reply.slice(0, 100)}`);
}

/** A number that may be a truth value or text; NaN for anything else. */
function numberOf(value: unknown, read: (text: string) => number | null): number {
  if (typeof value === 'string') return read(value) ?? NaN;
  return typeof value === 'number' || typeof value === 'boolean' ? Number(value) : NaN;
}
