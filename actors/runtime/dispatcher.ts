import type * as t from 'io-ts';
import { asCxmindError, type CxmindError, fromWireError, toWireError } from '../../src/errors.ts';
import { decodeBody, encodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import type { PayloadMemory } from '../../transport/shared/payload-memory.ts';
import type { Actor, Context, Logger } from './actor.ts';
import { emptyBody, type EnvelopeOf, type Outbox } from './envelope.ts';
import { callOf, decodeAs, streamOf, type Protocol } from './protocol.ts';
import { StreamOutlet } from './stream.ts';

/** Number of done tells whose credits are given back at once, not after the messages of this turn. */
const creditBatch = 128;

/** Time for which messages may follow each other before the event loop gets a turn, in milliseconds. */
const sliceMs = 5;

/** A message that an actor is to work on. */
type Message = EnvelopeOf<'ask' | 'stream' | 'tell'>;

type Handler = (message: unknown, context: Context) => unknown;

/** One message at its actor. It is the handler's context while the handler runs. */
class Delivery implements Context {
  readonly message: Message;
  readonly body: Body;
  readonly deadline: number;
  readonly logger: Logger;
  /** Way for the items of a stream. */
  readonly outlet: StreamOutlet | undefined;
  #controller: AbortController | undefined;

  constructor(message: Message, body: Body, logger: Logger) {
    this.message = message;
    this.body = body;
    this.deadline = message.kind === 'tell' ? Infinity : Date.now() + message.timeoutMs;
    this.logger = logger;
    this.outlet = message.kind === 'stream' ? new StreamOutlet(message.window) : undefined;
  }

  /** Made at the first look, since most handlers never look. */
  get signal(): AbortSignal {
    return this.#abortController().signal;
  }

  abort(reason: CxmindError): void {
    this.#abortController().abort(reason);
  }

  #abortController(): AbortController {
    return (this.#controller ??= new AbortController());
  }
}

interface DispatcherOptions {
  /** Way to the cell. */
  readonly outbox: Outbox;
  /** Memory for the tensors of replies. */
  readonly payloads: PayloadMemory;
  /** Name of the actor. */
  readonly name: string;
  readonly logger: Logger;
  /** Called when a handler threw an error that ends the actor, and with nothing after `stop` once no handler runs. */
  readonly onEnd: (crash: CxmindError | undefined) => void;
}

/**
 * Dispatcher of one actor: it calls the handlers, one message at a time and in order, and sends their replies.
 *
 * The queue is a plain array, from whose middle cancelled messages are taken. It needs no bound of its own: the mailbox on
 * the system's side sends no more than its capacity, 1024 by default, and every reply, refusal and `done` gives it a
 * credit back.
 */
export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #queue: Delivery[] = [];
  /** Asks that were cancelled before they came, since a cancel may overtake its ask. */
  readonly #cancelled = new Map<number, CxmindError>();
  #protocol: Protocol | undefined;
  #actor: Actor<Protocol> | undefined;
  #running: Delivery | undefined;
  #stopped: CxmindError | undefined;
  #isYielding = false;
  /** Tells that are done and whose credits are not yet given back. */
  #creditsDue = 0;
  #isGivingCredits = false;
  #lastTaken = -1;
  #lastTell = 0;

  constructor(options: DispatcherOptions) {
    this.#options = options;
  }

  /** Sets the actor. It must be there before the first message. */
  begin(protocol: Protocol, actor: Actor<Protocol>): void {
    this.#protocol = protocol;
    this.#actor = actor;
  }

  put(message: Message, body: Body): void {
    this.#lastTaken = message.id;
    const reason = this.#stopped ?? this.#cancelled.get(message.id);
    if (reason === undefined) {
      this.#queue.push(new Delivery(message, body, this.#options.logger));
      if (!this.#isYielding) this.#pump();
    } else {
      this.#cancelled.delete(message.id);
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
      this.#cancelled.set(id, error);
    } else {
      const at = this.#queue.findIndex((delivery) => delivery.message.id === id);
      if (at < 0) return;
      this.#queue.splice(at, 1);
      this.#refuse(id, error);
    }
  }

  /** Refuses the messages that wait and aborts the one that runs. */
  stop(error: CxmindError): void {
    this.#stopped = error;
    for (const { message } of this.#queue.splice(0)) {
      if (message.kind !== 'tell') this.#refuse(message.id, error);
    }
    if (this.#running === undefined) this.#options.onEnd(undefined);
    else this.#running.abort(error);
  }

  #pump(): void {
    let until: number | undefined;
    while (this.#running === undefined && this.#stopped === undefined) {
      if (until !== undefined && this.#queue.length > 0 && performance.now() > until) {
        this.#yield();
        return;
      }
      const delivery = this.#queue.shift();
      if (delivery === undefined) break;
      this.#run(delivery);
      if (this.#queue.length > 0) until ??= performance.now() + sliceMs;
    }
    this.#giveCreditsSoon();
  }

  /** Goes on after a turn of the event loop, in which cancels and stops are heard. */
  #yield(): void {
    this.#isYielding = true;
    setImmediate(() => {
      this.#isYielding = false;
      this.#pump();
    });
  }

  #run(delivery: Delivery): void {
    this.#running = delivery;
    if (delivery.message.kind !== 'tell') this.#giveCredits();
    let result: unknown;
    try {
      const { message, outlet } = delivery;
      result =
        outlet === undefined
          ? this.#call(delivery, callOf(this.#protocol!, message.method).request)
          : this.#stream(delivery, outlet);
    } catch (error) {
      this.#fail(delivery, error);
      return;
    }
    // A handler that is not async costs no promise and no turn.
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

  async #stream(delivery: Delivery, outlet: StreamOutlet): Promise<void> {
    const { id, method } = delivery.message;
    const { request, item } = streamOf(this.#protocol!, method);
    for await (const value of this.#call(delivery, request) as AsyncIterable<unknown>) {
      await outlet.room(delivery.signal);
      this.#options.outbox.post({ kind: 'item', id }, this.#encode(item, value));
    }
  }

  #call(delivery: Delivery, request: t.Mixed): unknown {
    const { method } = delivery.message;
    const where = `${this.#options.name}.${method}`;
    const message: unknown = decodeAs<unknown>(request, decodeBody(delivery.body), where);
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
      this.#options.outbox.post({ kind: 'reply', id }, reply);
    }
    this.#finish(delivery);
  }

  #fail(delivery: Delivery, thrown: unknown): void {
    const error = asCxmindError(thrown);
    if (error.detail['fatal'] === true) {
      this.#stopped = error;
      this.#options.onEnd(error);
      return;
    }
    const { kind, id, method } = delivery.message;
    if (kind === 'tell') this.#options.logger.error({ error, method }, 'tell failed');
    else this.#refuse(id, error);
    this.#finish(delivery);
  }

  #refuse(id: number, error: CxmindError): void {
    this.#giveCredits();
    this.#options.outbox.post({ kind: 'refusal', id, error: toWireError(error) });
  }

  #finish({ message }: Delivery): void {
    this.#running = undefined;
    if (message.kind === 'tell') {
      this.#lastTell = message.id;
      if (++this.#creditsDue >= creditBatch) this.#giveCredits();
    }
    if (this.#stopped !== undefined) {
      this.#giveCredits();
      this.#options.onEnd(undefined);
    }
  }

  /** Gives credits back after this turn's messages: they come in numbers, but each is put by itself. */
  #giveCreditsSoon(): void {
    if (this.#creditsDue === 0 || this.#isGivingCredits) return;
    this.#isGivingCredits = true;
    queueMicrotask(() => {
      this.#isGivingCredits = false;
      this.#giveCredits();
    });
  }

  #giveCredits(): void {
    if (this.#creditsDue === 0) return;
    this.#creditsDue = 0;
    this.#options.outbox.post({ kind: 'done', id: this.#lastTell });
  }
}
