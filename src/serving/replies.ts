/** Replies to chat requests in OpenAI's form: what all of them have, and those that are sent as a whole. */
import { randomUUID } from 'node:crypto';
import { likeliest } from '../generation/n-best.ts';
import type { Draw } from '../generation/sampler.ts';
import type { TokenBytes } from '../text/token-bytes.ts';
import type { CompletionListener, Usage } from './completion.ts';

/** Fields that all replies to a request have. */
export interface ReplyHead {
  readonly id: string;
  /** Seconds since the epoch. */
  readonly created: number;
  readonly model: string;
}

/** The head of the replies to a new request. */
export function replyHead(model: string): ReplyHead {
  return { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model };
}

/** Log-probabilities of tokens, as a choice has them. */
type LogProbs = { readonly content: readonly object[]; readonly refusal: null } | null;

/** Writer of draws as log-probabilities; null where the request asks for none. */
export type LogProbWriter = ((draws: readonly Draw[]) => LogProbs) | null;

/** Writes each draw with its token's text and bytes. */
export function logProbWriter(tokenBytes: TokenBytes): NonNullable<LogProbWriter> {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  const entry = (token: number, logProb: number): object => {
    const bytes = tokenBytes.shown(token);
    return { token: decoder.decode(bytes), bytes: [...bytes], logprob: logProb };
  };
  return (draws) => ({
    content: draws.map(({ token, logProb, likeliest = [] }) => ({
      ...entry(token, logProb),
      top_logprobs: likeliest.map((each) => entry(each.token, each.logProb)),
    })),
    refusal: null,
  });
}

/** A choice of a reply that is sent as a whole. */
interface WholeChoice {
  text: string;
  readonly draws: Draw[];
  reason: string | null;
}

/** A reply that is sent when all its choices are complete. */
export class WholeReply {
  readonly #head: ReplyHead;
  readonly #writeLogProbs: LogProbWriter;
  readonly #choices: WholeChoice[];

  constructor(head: ReplyHead, choices: number, writeLogProbs: LogProbWriter) {
    this.#head = head;
    this.#writeLogProbs = writeLogProbs;
    this.#choices = Array.from({ length: choices }, () => ({ text: '', draws: [], reason: null }));
  }

  readonly onText: CompletionListener = (index, text, draws, reason) => {
    const choice = this.#choices[index]!;
    choice.text += text;
    choice.draws.push(...draws);
    choice.reason = reason;
  };

  /**
   * The reply's body.
   *
   * @param count choices that it has: of more, those whose tokens are likeliest on average
   */
  body(usage: Usage, count: number): object {
    const best = likeliest(this.#choices, count, ({ draws }) =>
      draws.map(({ logProb }) => logProb),
    );
    const { id, created, model } = this.#head;
    return {
      id,
      object: 'chat.completion',
      created,
      model,
      choices: best.map(({ text, draws, reason }, index) => ({
        index,
        message: { role: 'assistant', content: text, refusal: null },
        logprobs: this.#writeLogProbs?.(draws) ?? null,
        finish_reason: reason,
      })),
      usage,
    };
  }
}
