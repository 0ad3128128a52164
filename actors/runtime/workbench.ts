import type * as t from 'io-ts';
import { asCxmindError, type CxmindError, fromWireError, toWireError } from '../../src/errors.ts';
import type { Channel } from '../../transport/channel.ts';
import { encodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import type { PayloadMemory } from '../../transport/shared/bytes.ts';
import type { Actor, Context, Logger } from './actor.ts';
import { emptyBody, post, type EnvelopeOf } from './envelope.ts';
import { Job, type Message } from './job.ts';
import { callOf, decodeAs, streamOf, type Protocol } from './protocol.ts';
import { valueOf } from './ref.ts';

/** Tells whose credits are given back together while more of them come in one turn of the event loop. */
const creditBatch = 128;

/** How long messages may follow each other without a turn of the event loop, in which others are heard. */
const spellMs = 5;

type Handler = (message: unknown, context: Context) => unknown;

export interface WorkbenchOptions {
  readonly channel: Channel;
  /** Where the tensors of replies go. */
  readonly payloads: PayloadMemory;
  /** The actor's name. */
  readonly name: string;
  readonly logger: Logger;
  /** A handler threw an error that ends the actor. */
  readonly onFatal: (error: CxmindError) => void;
  /** It was stopped, and nothing runs any more. */
  readonly onStopped: () => void;
}

/** An actor's messages where the actor is: worked on one at a time and in order, and answered. */
export class Workbench {
  readonly #options: WorkbenchOptions;
  readonly #queue: Job[] = [];
  /** Asks that were given up before they came: cancelling may overtake them. */
  readonly #givenUp = new Map<number, CxmindError>();
  #protocol: Protocol | undefined;
  #actor: Actor<Protocol> | undefined;
  #running: Job | undefined;
  #stopped: CxmindError | undefined;
  #isResting = false;
  #creditsDue = 0;
  #isGivingCredits = false;
  #lastTaken = -1;
  #lastTell = 0;

  constructor(options: WorkbenchOptions) {
    this.#options = options;
  }

  /** The actor is there to work on what comes. */
  begin(protocol: Protocol, actor: Actor<Protocol>): void {
    this.#protocol = protocol;
    this.#actor = actor;
  }

  put(message: Message, body: Body): void {
    this.#lastTaken = message.id;
    const reason = this.#stopped ?? this.#givenUp.get(message.id);
    if (reason === undefined) {
      this.#queue.push(new Job(message, body, this.#options.logger));
      if (!this.#isResting) this.#pump();
    } else {
      this.#givenUp.delete(message.id);
      if (message.kind !== 'tell') this.#refuse(message.id, reason);
    }
  }

  credit({ id, count }: EnvelopeOf<'credit'>): void {
    if (this.#running?.message.id === id) this.#running.outlet?.credit(count);
  }

  cancel({ id, reason }: EnvelopeOf<'cancel'>): void {
    const error = fromWireError(reason);
    if (this.#running?.message.id === id) {
      this.#running.abort(error);
    } else if (id > this.#lastTaken) {
      this.#givenUp.set(id, error);
    } else {
      const at = this.#queue.findIndex((job) => job.message.id === id);
      if (at < 0) return;
      this.#queue.splice(at, 1);
      this.#refuse(id, error);
    }
  }

  /** Refuses what waits and aborts what runs. */
  stop(error: CxmindError): void {
    this.#stopped = error;
    for (const { message } of this.#queue.splice(0)) {
      if (message.kind !== 'tell') this.#refuse(message.id, error);
    }
    if (this.#running === undefined) this.#options.onStopped();
    else this.#running.abort(error);
  }

  #pump(): void {
    let until: number | undefined;
    while (this.#running === undefined && this.#stopped === undefined) {
      if (until !== undefined && this.#queue.length > 0 && performance.now() > until) {
        this.#rest();
        return;
      }
      const job = this.#queue.shift();
      if (job === undefined) break;
      this.#work(job);
      if (this.#queue.length > 0) until ??= performance.now() + spellMs;
    }
    this.#giveCreditsSoon();
  }

  /** Once what is here now has been put and worked on: messages come in numbers, and each by itself. */
  #giveCreditsSoon(): void {
    if (this.#creditsDue === 0 || this.#isGivingCredits) return;
    this.#isGivingCredits = true;
    queueMicrotask(() => {
      this.#isGivingCredits = false;
      this.#giveCredits();
    });
  }

  /** Goes on after a turn of the event loop, in which cancelling and stopping get their say. */
  #rest(): void {
    this.#isResting = true;
    setImmediate(() => {
      this.#isResting = false;
      this.#pump();
    });
  }

  #work(job: Job): void {
    this.#running = job;
    if (job.message.kind !== 'tell') this.#giveCredits();
    let result: unknown;
    try {
      result = job.outlet === undefined ? this.#handle(job) : this.#flow(job);
    } catch (error) {
      this.#fail(job, error);
      return;
    }
    if (result instanceof Promise) {
      void result.then(
        (value) => this.#resume(() => this.#succeed(job, value)),
        (error: unknown) => this.#resume(() => this.#fail(job, error)),
      );
    } else {
      this.#succeed(job, result);
    }
  }

  #resume(finish: () => void): void {
    finish();
    this.#pump();
  }

  #handle(job: Job): unknown {
    return this.#call(job, callOf(this.#protocol!, job.message.method).request);
  }

  async #flow(job: Job): Promise<void> {
    const { id, method } = job.message;
    const { request, item } = streamOf(this.#protocol!, method);
    for await (const value of this.#call(job, request) as AsyncIterable<unknown>) {
      await job.outlet!.room(job.signal);
      post(this.#options.channel, { kind: 'item', id }, this.#encode(item, value));
    }
  }

  #call(job: Job, request: Parameters<typeof decodeAs>[0]): unknown {
    const { method } = job.message;
    const where = `${this.#options.name}.${method}`;
    const message: unknown = decodeAs(request, valueOf(job.body), where);
    const actor = this.#actor as unknown as Readonly<Record<string, Handler>>;
    return actor[method]!(message, job);
  }

  #encode(codec: t.Mixed, value: unknown): Body {
    return encodeBody(codec.encode(value), this.#options.payloads);
  }

  #succeed(job: Job, value: unknown): void {
    const { kind, id, method } = job.message;
    if (kind !== 'tell') {
      let reply = emptyBody;
      try {
        if (kind === 'ask') reply = this.#encode(callOf(this.#protocol!, method).reply, value);
      } catch (error) {
        this.#fail(job, error);
        return;
      }
      this.#giveCredits();
      post(this.#options.channel, { kind: 'reply', id }, reply);
    }
    this.#finish(job);
  }

  #fail(job: Job, thrown: unknown): void {
    const error = asCxmindError(thrown);
    if (error.detail['fatal'] === true) {
      this.#stopped = error;
      this.#options.onFatal(error);
      return;
    }
    const { kind, id, method } = job.message;
    if (kind === 'tell') this.#options.logger.error({ error, method }, 'tell failed');
    else this.#refuse(id, error);
    this.#finish(job);
  }

  #refuse(id: number, error: CxmindError): void {
    this.#giveCredits();
    post(this.#options.channel, { kind: 'refusal', id, error: toWireError(error) });
  }

  #finish({ message }: Job): void {
    this.#running = undefined;
    if (message.kind === 'tell') {
      this.#lastTell = message.id;
      if (++this.#creditsDue >= creditBatch) this.#giveCredits();
    }
    if (this.#stopped !== undefined) {
      this.#giveCredits();
      this.#options.onStopped();
    }
  }

  #giveCredits(): void {
    if (this.#creditsDue === 0) return;
    this.#creditsDue = 0;
    post(this.#options.channel, { kind: 'done', id: this.#lastTell });
  }
}
