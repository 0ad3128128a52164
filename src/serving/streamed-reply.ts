/**
 * A reply as server-sent events, in OpenAI's form.
 *
 * A token's text goes out at once, unless the last event of the reply is less than a frame of a screen old, or the
 * reader has not taken it yet. Then it waits, and goes with what has come until then. A small model draws tokens faster
 * than anyone reads them, and an event for each costs server and client more than the token.
 */
import type { ServerResponse } from 'node:http';
import type { Draw } from '../generation/sampler.ts';
import type { CompletionListener, Usage } from './completion.ts';
import type { LogProbWriter, ReplyHead } from './replies.ts';

/** Least time between two events with text of one choice, in ms. */
const PACE_MS = 16;

const headers = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
  'x-accel-buffering': 'no',
};

/** Text and draws of a choice that were not sent yet. */
interface Pending {
  text: string;
  readonly draws: Draw[];
  reason: string | null;
}

/** A reply that is sent piece by piece. */
export class StreamedReply {
  readonly #response: ServerResponse;
  readonly #writeLogProbs: LogProbWriter;
  readonly #hasUsage: boolean;
  /** Text of an event before its choices, the same for all. */
  readonly #opening: string;
  readonly #pending = new Map<number, Pending>();
  readonly #begun = new Set<number>();
  #sentAt = -Infinity;
  #isWaiting = false;

  /** @param hasUsage whether a last event tells the numbers of tokens */
  constructor(
    { id, created, model }: ReplyHead,
    hasUsage: boolean,
    writeLogProbs: LogProbWriter,
    response: ServerResponse,
  ) {
    this.#response = response;
    this.#hasUsage = hasUsage;
    this.#writeLogProbs = writeLogProbs;
    const head = JSON.stringify({ id, object: 'chat.completion.chunk', created, model });
    this.#opening = `data: ${head.slice(0, -1)},"choices":`;
  }

  readonly onText: CompletionListener = (index, text, draws, reason) => {
    const pending = this.#pending.get(index) ?? { text: '', draws: [], reason: null };
    this.#pending.set(index, pending);
    pending.text += text;
    pending.draws.push(...draws);
    pending.reason = reason;
    this.#sendSoon();
  };

  /** Ends the reply. */
  end(usage: Usage): void {
    const last = this.#hasUsage ? this.#event([], usage) : '';
    this.#finish(`${last}data: [DONE]\n\n`);
  }

  /** Ends the reply with an error, in place of the rest. */
  fail(body: object): void {
    this.#finish(`data: ${JSON.stringify(body)}\n\n`);
  }

  #finish(last: string): void {
    const events = this.#takeEvents();
    this.#begin();
    this.#response.end(events + last);
  }

  /** Sends what is pending when it is time to, together with what comes until then. */
  #sendSoon(): void {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    const send = (): void => {
      this.#isWaiting = false;
      this.#send();
    };
    const waitMs = this.#sentAt + PACE_MS - performance.now();
    if (this.#response.writableNeedDrain) this.#response.once('drain', send);
    else if (waitMs > 0) setTimeout(send, waitMs);
    else setImmediate(send);
  }

  #send(): void {
    if (this.#response.writableEnded || this.#response.destroyed) return;
    this.#sentAt = performance.now();
    this.#begin();
    this.#response.write(this.#takeEvents());
  }

  #begin(): void {
    if (!this.#response.headersSent) this.#response.writeHead(200, headers);
  }

  /** The events of all that is pending. */
  #takeEvents(): string {
    const events = Array.from(this.#pending, ([index, { text, draws, reason }]) => {
      const role = this.#begun.has(index) ? {} : { role: 'assistant' };
      this.#begun.add(index);
      const delta = { ...role, content: text };
      const logprobs = this.#writeLogProbs?.(draws) ?? null;
      const said = this.#event([{ index, delta, logprobs, finish_reason: null }]);
      if (reason === null) return said;
      return said + this.#event([{ index, delta: {}, logprobs: null, finish_reason: reason }]);
    });
    this.#pending.clear();
    return events.join('');
  }

  #event(choices: readonly object[], usage: Usage | null = null): string {
    const used = this.#hasUsage ? `,"usage":${JSON.stringify(usage)}` : '';
    return `${this.#opening}${JSON.stringify(choices)}${used}}\n\n`;
  }
}
