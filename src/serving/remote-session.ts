import { fromWireError } from '../errors.ts';
import type { Draw } from '../generation/sampler.ts';
import {
  unpackDraws,
  type DrawEvent,
  type JobNews,
  type JobOrder,
  type PlainRequest,
} from './api-messages.ts';

/** A request, and the callbacks that receive its tokens. */
export interface RemoteJob {
  readonly request: PlainRequest;
  /** Ends the job when it aborts: no callback is called again. It is of this job alone, so listeners are not removed. */
  readonly signal: AbortSignal;
  /**
   * Receives every token, with a reason if it is the last of its response. The response ends with it if true is returned.
   * It is not called again for a response that has ended.
   */
  readonly onDraw: (sample: number, draw: Draw, reason: DrawEvent['reason']) => boolean;
  /** Receives the error that ended the job, at most once, and nothing after it. */
  readonly onError: (error: unknown) => void;
}

interface OpenJob extends RemoteJob {
  /** Responses that have not ended. */
  readonly open: Set<number>;
}

/** The engine's session, as another thread uses it. */
export class RemoteSession {
  /** Most tokens of a sequence, its prompt among them. */
  readonly capacity: number;
  readonly #send: (order: JobOrder) => void;
  readonly #jobs = new Map<number, OpenJob>();
  #last = 0;

  constructor(capacity: number, send: (order: JobOrder) => void) {
    this.capacity = capacity;
    this.#send = send;
  }

  /** Adds a job. */
  submit(job: RemoteJob): void {
    const id = ++this.#last;
    this.#jobs.set(id, { ...job, open: new Set(job.request.seeds.keys()) });
    this.#send({ kind: 'submit', job: id, request: job.request });
    job.signal.addEventListener('abort', () => this.#leave(id), { once: true });
  }

  /** Passes news of the session to its jobs. */
  take(news: JobNews): void {
    if (news.kind === 'failed') {
      const job = this.#jobs.get(news.job);
      this.#jobs.delete(news.job);
      job?.onError(fromWireError(news.error));
      return;
    }
    for (const event of unpackDraws(news)) this.#pass(event);
  }

  #pass({ job: id, sample, draw, reason }: DrawEvent): void {
    const job = this.#jobs.get(id);
    // The engine draws a token or two more before it hears that a response has ended.
    if (job?.open.has(sample) !== true) return;
    try {
      const isEnd = job.onDraw(sample, draw, reason);
      if (isEnd && reason === null) this.#send({ kind: 'stop', job: id, sample });
      if (isEnd || reason !== null) job.open.delete(sample);
      if (job.open.size === 0) this.#jobs.delete(id);
    } catch (error) {
      this.#leave(id);
      job.onError(error);
    }
  }

  #leave(id: number): void {
    if (this.#jobs.delete(id)) this.#send({ kind: 'abort', job: id });
  }
}
