import type * as t from 'io-ts';
import { asCxmindError, type CxmindError, fromWireError, toWireError } from '../../src/errors.ts';
import type { Channel } from '../../transport/channel.ts';
import { encodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import type { PayloadMemory } from '../../transport/shared/bytes.ts';
import type { Actor, Context, Logger } from './actor.ts';
import { emptyBody, post, type EnvelopeOf } from './envelope.ts';
import { Delivery, type Message } from './delivery.ts';
import { callOf, decodeAs, streamOf, type Protocol } from './protocol.ts';
import { valueOf } from './ref.ts';

/** Tells whose credits are given back together while more of them come in one turn of the event loop. */
const creditBatch = 128;

/** How long messages may follow each other without a turn of the event loop, in which others are heard. */
const spellMs = 5;

type Handler = (message: unknown, context: Context) => unknown;

export interface DispatcherOptions {
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
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #queue: Delivery[] = [];
  /** Asks that were given up before they came: cancelling may overtake them. */
  readonly #givenUp = new Map<number, CxmindError>();
  #protocol: Protocol | undefined;
  #actor: Actor<Protocol> | undefined;
  #running: Delivery | undefined;
  #stopped: CxmindError | undefined;
  #isResting = false;
  #creditsDue = 0;
  #isGivingCredits = false;
  #lastTaken = -1;
  #lastTell = 0;

  constructor(options: DispatcherOptions) {
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
      this.#queue.push(new Delivery(message, body, this.#options.logger));
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
      const at = this.#queue.findIndex((delivery) => delivery.message.id === id);
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
      const delivery = this.#queue.shift();
      if (delivery === undefined) break;
      this.#work(delivery);
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

  #work(delivery: Delivery): void {
    this.#running = delivery;
    if (delivery.message.kind !== 'tell') this.#giveCredits();
    let result: unknown;
    try {
      result = delivery.outlet === undefined ? this.#handle(delivery) : this.#flow(delivery);
    } catch (error) {
      this.#fail(delivery, error);
      return;
    }
    if (result instanceof Promise) {
      void result.then(
        (value) => this.#resume(() => this.#succeed(delivery, value)),
        (error: unknown) => this.#resume(() => this.#fail(delivery, error)),
      );
    } else {
      this.#succeed(delivery, result);
    }
  }

  #resume(finish: () => void): void {
    finish();
    this.#pump();
  }

  #handle(delivery: Delivery): unknown {
    return this.#call(delivery, callOf(this.#protocol!, delivery.message.method).request);
  }

  async #flow(delivery: Delivery): Promise<void> {
    const { id, method } = delivery.message;
    const { request, item } = streamOf(this.#protocol!, method);
    for await (const value of this.#call(delivery, request) as AsyncIterable<unknown>) {
      await delivery.outlet!.room(delivery.signal);
      post(this.#options.channel, { kind: 'item', id }, this.#encode(item, value));
    }
  }

  #call(delivery: Delivery, request: Parameters<typeof decodeAs>[0]): unknown {
    const { method } = delivery.message;
    const where = `${this.#options.name}.${method}`;
    const message: unknown = decodeAs(request, valueOf(delivery.body), where);
    const actor = this.#actor as unknown as Readonly<Record<string, Handler>>;
    return actor[method]!(message, delivery);
  }

  #encode(codec: t.Mixed, value: unknown): Body {
    return encodeBody(codec.encode(value), this.#options.payloads);
  }

  #succeed(delivery: Delivery, value: unknown): void {
    const { kind, id, method } = delivery.message;
    if (kind !== 'tell') {
      let reply = emptyBody;
      try {
        if (kind === 'ask') reply = this.#encode(callOf(this.#protocol!, method).reply, value);
      } catch (error) {
        this.#fail(delivery, error);
        return;
      }
      this.#giveCredits();
      post(this.#options.channel, { kind: 'reply', id }, reply);
    }
    this.#finish(delivery);
  }

  #fail(delivery: Delivery, thrown: unknown): void {
    const error = asCxmindError(thrown);
    if (error.detail['fatal'] === true) {
      this.#stopped = error;
      this.#options.onFatal(error);
      return;
    }
    const { kind, id, method } = delivery.message;
    if (kind === 'tell') this.#options.logger.error({ error, method }, 'tell failed');
    else this.#refuse(id, error);
    this.#finish(delivery);
  }

  #refuse(id: number, error: CxmindError): void {
    this.#giveCredits();
    post(this.#options.channel, { kind: 'refusal', id, error: toWireError(error) });
  }

  #finish({ message }: Delivery): void {
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
