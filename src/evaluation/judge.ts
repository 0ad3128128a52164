import * as t from 'io-ts';
import { isLeft } from 'fp-ts/lib/Either.js';
import { CxmindError, messageOf } from '../errors.ts';
import { readFloat, readInteger } from '../reward/python-text.ts';
import { trimSpace } from '../text/whitespace.ts';
import { wordVerdict, type Verdict } from './score.ts';

const MODEL = 'gpt-4o';
const TIMEOUT_MS = 60_000;

const system = [
  'You compare the findings that an answer about a chest X-ray names with those of a reference.',
  'Synonyms and abbreviations count as equal. Reply with one JSON object and nothing else:',
  '{"correct": 1 if the answer names the same findings as the reference, else 0,',
  '"jaccard": findings in both divided by findings in either, from 0 to 1}',
].join(' ');

const Completion = t.type({
  choices: t.array(t.type({ message: t.type({ content: t.string }) })),
});

/** Address of the judge: a model that is deployed behind Azure OpenAI. */
export interface JudgeAddress {
  readonly endpoint: string;
  readonly apiKey: string;
  readonly apiVersion: string;
}

/**
 * The judge that the environment names, by the variables of the released script.
 *
 * @throws CONFIG_INVALID naming the variables that are not set
 */
export function judgeAddress(
  environment: Readonly<Record<string, string | undefined>>,
): JudgeAddress {
  const names = [
    'AZURE_OPENAI_ENDPOINT',
    'AZURE_OPENAI_API_KEY',
    'AZURE_OPENAI_API_VERSION',
  ] as const;
  const missing = names.filter((name) => (environment[name] ?? '') === '');
  if (missing.length > 0) {
    throw new CxmindError('CONFIG_INVALID', `--judge: ${missing.join(', ')} not set`);
  }
  const [endpoint, apiKey, apiVersion] = names.map((name) => environment[name]!);
  return { endpoint: endpoint!, apiKey: apiKey!, apiVersion: apiVersion! };
}

/** A model that is asked whether an open answer says what the reference says. */
export class Judge {
  readonly #url: string;
  readonly #headers: Readonly<Record<string, string>>;
  /** Number of answers that the judge failed to judge, and the reason of the first. */
  readonly failures: { count: number; first: string | null } = { count: 0, first: null };

  constructor({ endpoint, apiKey, apiVersion }: JudgeAddress) {
    const query = new URLSearchParams({ 'api-version': apiVersion }).toString();
    const base = endpoint.replace(/\/+$/, '');
    this.#url = `${base}/openai/deployments/${MODEL}/chat/completions?${query}`;
    this.#headers = { 'content-type': 'application/json', 'api-key': apiKey };
  }

  /** Gives the verdict on an answer: by words alone where the judge fails, 0 for an empty answer or a blank reference. */
  async verdict(prediction: string, gold: string): Promise<Verdict> {
    if (prediction === '' || trimSpace(gold) === '') return { correct: 0, jaccard: 0 };
    try {
      return readVerdict(await this.#ask(prediction, gold), prediction, gold);
    } catch (error) {
      this.failures.count++;
      this.failures.first ??= messageOf(error);
      return wordVerdict(prediction, gold);
    }
  }

  async #ask(prediction: string, gold: string): Promise<string> {
    const user = `Reference:\n${gold}\n\nAnswer:\n${prediction}`;
    const response = await fetch(this.#url, {
      method: 'POST',
      headers: this.#headers,
      signal: AbortSignal.timeout(TIMEOUT_MS),
      body: JSON.stringify({
        model: MODEL,
        temperature: 1,
        messages: [
          { role: 'system', content: system },
          { role: 'user', content: user },
        ],
      }),
    });
    if (!response.ok) throw new Error(`the judge answered ${response.status}`);
    const completion = Completion.decode(await response.json());
    const content = isLeft(completion) ? undefined : completion.right.choices[0]?.message.content;
    if (content === undefined) throw new Error('the judge said nothing');
    return content;
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
  const given = t.UnknownRecord.is(json) && !Array.isArray(json) ? json : { correct: null };
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
