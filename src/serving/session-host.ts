import { toWireError } from '../errors.ts';
import type { Grammars } from '../generation/grammar/grammars.ts';
import type { LogitControls } from '../generation/logit-control.ts';
import type { GenerationSession } from '../generation/session.ts';
import { packDraws, type DrawEvent, type JobNews, type JobOrder } from './api-messages.ts';
import type { PlainControls, PlainRequest } from './api-messages.ts';

/** A job of the other thread whose responses are being generated. */
interface HostedJob {
  readonly leaving: AbortController;
  /** Responses that end with their next token. */
  readonly stopped: Set<number>;
}

/** Least time between two messages of tokens of which none ends a response, in ms. */
const PACE_MS = 5;

/**
 * Runs the jobs of another thread on a session, and sends that thread their tokens: those of a step together, and those
 * of several steps where a small model makes hundreds in a second. To wake the thread for each costs more than a step.
 */
export class SessionHost {
  readonly #session: GenerationSession;
  readonly #grammars: Grammars;
  readonly #send: (news: JobNews) => void;
  readonly #jobs = new Map<number, HostedJob>();
  /** Tokens that were not sent yet. */
  readonly #drawn: DrawEvent[] = [];
  #sentAt = -Infinity;
  #timer: NodeJS.Timeout | undefined;

  constructor(session: GenerationSession, grammars: Grammars, send: (news: JobNews) => void) {
    this.#session = session;
    this.#grammars = grammars;
    this.#send = send;
  }

  /** Follows an order. */
  take(order: JobOrder): void {
    if (order.kind === 'submit') {
      this.#submit(order.job, order.request);
    } else if (order.kind === 'stop') {
      this.#jobs.get(order.job)?.stopped.add(order.sample);
    } else {
      this.#jobs.get(order.job)?.leaving.abort();
      this.#jobs.delete(order.job);
    }
  }

  #submit(job: number, { controls: plain, ...request }: PlainRequest): void {
    const { leaving, stopped } = { leaving: new AbortController(), stopped: new Set<number>() };
    this.#jobs.set(job, { leaving, stopped });
    let left = request.seeds.length;
    const fail = (error: unknown): void => {
      this.#jobs.delete(job);
      this.#send({ kind: 'failed', job, error: toWireError(error) });
    };
    try {
      const controls = plain && this.#controlsOf(plain);
      this.#session.submit({
        request: { ...request, ...(controls && { controls }) },
        signal: leaving.signal,
        onToken: (sample, draw) => {
          this.#tell({ job, sample, draw, reason: null });
          return stopped.has(sample);
        },
        onResponse: (_, { finishReason }) => {
          // The token that ended it came just before.
          this.#drawn.at(-1)!.reason = finishReason;
          this.#sendAfterStep();
          if (--left === 0) this.#jobs.delete(job);
        },
        onError: fail,
      });
    } catch (error) {
      fail(error);
    }
  }

  #controlsOf({ grammar: source, ...controls }: PlainControls): LogitControls {
    const grammar = source && this.#grammars.of(source);
    return { ...controls, constraint: grammar && (() => grammar.begin()) };
  }

  #tell(event: DrawEvent): void {
    if (this.#drawn.push(event) > 1) return;
    const waitMs = this.#sentAt + PACE_MS - performance.now();
    if (waitMs > 0) this.#timer = setTimeout(() => this.#sendDrawn(), waitMs);
    else this.#sendAfterStep();
  }

  /** Sends the tokens once those of this step are complete: they are drawn before the next microtask. */
  #sendAfterStep(): void {
    queueMicrotask(() => this.#sendDrawn());
  }

  #sendDrawn(): void {
    clearTimeout(this.#timer);
    if (this.#drawn.length === 0) return;
    this.#sentAt = performance.now();
    this.#send(packDraws(this.#drawn.splice(0)));
  }
}
