/**
 * Messages between the thread of the API, which has the requests, and the thread of the engine, which has the session.
 *
 * They are plain data. All draws of a decoding step go as one table of numbers: a message for each token would cost both
 * threads more than a small model's token.
 */
import type { ChatSettings } from '../data/sample-options.ts';
import type { WireError } from '../errors.ts';
import type { GrammarSource } from '../generation/grammar/grammars.ts';
import type { LogitControls } from '../generation/logit-control.ts';
import type { GenerationRequest, Response } from '../generation/request.ts';
import type { Draw } from '../generation/sampler.ts';
import type { BodyLimits } from './body.ts';
import type { MediaAccess } from './media.ts';

/** Settings of the API. */
export interface ApiSettings extends BodyLimits, MediaAccess {
  /** Names the tokenizer, the chat template and the processors of pictures. */
  readonly chat: ChatSettings;
  /** Name of the model in requests and replies. */
  readonly servedModelName: string;
  /** Key that requests must bring; null takes all. */
  readonly apiKey: string | null;
  /** Most tokens of a conversation with its response. */
  readonly maxModelLen: number;
  /** Most requests that run or wait. */
  readonly mostOpen: number;
}

/** Message to the API's thread. */
export type ApiOrder =
  | JobNews
  | { readonly kind: 'listen'; readonly host: string; readonly port: number }
  | { readonly kind: 'close' };

/** Message of the API's thread: an order of a job, an answer, or an error that is its own. */
export type ApiNews =
  | JobOrder
  /** Answers, in order, to its start, to `listen`, which is answered with an address, and to `close`. */
  | { readonly kind: 'done'; readonly value: string | null }
  | { readonly kind: 'refused'; readonly error: WireError }
  | { readonly kind: 'error'; readonly error: WireError };

/** Controls with the source of the grammar in place of the grammar. */
export interface PlainControls extends Omit<LogitControls, 'constraint'> {
  /** Null where responses are free. */
  readonly grammar: GrammarSource | null;
}

/** A request as plain data. */
export interface PlainRequest extends Omit<GenerationRequest, 'controls'> {
  readonly controls?: PlainControls;
}

/** Order of a job, from the API to the session. */
export type JobOrder =
  | { readonly kind: 'submit'; readonly job: number; readonly request: PlainRequest }
  /** Ends a response with its next token. */
  | { readonly kind: 'stop'; readonly job: number; readonly sample: number }
  /** Ends a job whose client left. */
  | { readonly kind: 'abort'; readonly job: number };

/** News of jobs, from the session to the API. */
export type JobNews =
  | DrawBatch
  | { readonly kind: 'failed'; readonly job: number; readonly error: WireError };

/** A token of a response. */
export interface DrawEvent {
  readonly job: number;
  readonly sample: number;
  readonly draw: Draw;
  /** Reason why the response ends with this token; null if it does not. */
  reason: Response['finishReason'] | null;
}

/** Tokens of a decoding step. */
export interface DrawBatch {
  readonly kind: 'draws';
  /** `[n, 5]`: job, sample, token, log-probability, and the reason's place in `reasons`. */
  readonly table: Float64Array;
  /** Likeliest tokens by row, where they were asked for. */
  readonly likeliest: ReadonlyMap<number, NonNullable<Draw['likeliest']>>;
}

const WIDTH = 5;
const reasons = [null, 'stop', 'length', 'content_filter'] as const;

/** Puts tokens into one message. */
export function packDraws(events: readonly DrawEvent[]): DrawBatch {
  const table = new Float64Array(events.length * WIDTH);
  const likeliest = new Map<number, NonNullable<Draw['likeliest']>>();
  for (const [row, { job, sample, draw, reason }] of events.entries()) {
    table.set([job, sample, draw.token, draw.logProb, reasons.indexOf(reason)], row * WIDTH);
    if (draw.likeliest !== undefined) likeliest.set(row, draw.likeliest);
  }
  return { kind: 'draws', table, likeliest };
}

/** The tokens of a message, in the order in which they were drawn. */
export function* unpackDraws({ table, likeliest }: DrawBatch): Generator<DrawEvent> {
  for (let row = 0; row * WIDTH < table.length; row++) {
    const at = row * WIDTH;
    const known = likeliest.get(row);
    const draw = { token: table[at + 2]!, logProb: table[at + 3]! };
    yield {
      job: table[at]!,
      sample: table[at + 1]!,
      draw: known === undefined ? draw : { ...draw, likeliest: known },
      reason: reasons[table[at + 4]!]!,
    };
  }
}
