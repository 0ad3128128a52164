/**
 * Messages from one actor to others. An actor knows only its own channel, so its `Uplink` sends them to the system,
 * where the `Relay` of that actor passes them on, bodies untouched, and returns the answers.
 */
import * as t from 'io-ts';
import { type CxmindError, fromWireError, toWireError } from '../../src/errors.ts';
import type { Channel } from '../../transport/channel.ts';
import { decodeBody, encodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import type { PayloadMemory } from '../../transport/shared/payload-memory.ts';
import type { ActorEvent } from './actor.ts';
import { emptyBody, Outbox, WireErrorForm, type EnvelopeOf } from './envelope.ts';
import { OutgoingAsk } from './outgoing-ask.ts';
import { decodeAs, type Protocol } from './protocol.ts';
import {
  cancelledError,
  refOver,
  stoppedError,
  type ActorRef,
  type AskOptions,
  type Sender,
  type StreamOptions,
} from './ref.ts';
import { defaultWindow, StreamInbox, StreamOutlet } from './stream.ts';

/** An envelope that an actor sends to its relay. */
type Upward = EnvelopeOf<'ask' | 'stream' | 'tell' | 'watch' | 'unwatch' | 'credit' | 'cancel'>;

/** An envelope that the relay sends to its actor. */
type Downward = EnvelopeOf<'event' | 'item' | 'reply' | 'refusal'>;

/** The actor's end: it sends messages to the system and takes the answers. */
export class Uplink {
  readonly #payloads: PayloadMemory;
  readonly #outbox: Outbox;
  /** Messages whose answers have not come. */
  readonly #unanswered = new Map<number, OutgoingAsk>();
  /** Number of them by actor: a pool reads it for every message. */
  readonly #pending = new Map<string, number>();
  readonly #watches = new Map<number, (event: ActorEvent) => void>();
  #nextId = 0;

  /** @param payloads memory for the tensors of messages */
  constructor(outbox: Outbox, payloads: PayloadMemory) {
    this.#outbox = outbox;
    this.#payloads = payloads;
  }

  /** Makes a ref to the actor of that name. The ref's `pending` counts this actor's own messages. */
  refTo<P extends Protocol>(name: string, protocol: P): ActorRef<P> {
    const pending = (): number => this.#pending.get(name) ?? 0;
    return refOver(protocol, name, {
      address: name,
      status: 'running',
      payloads: this.#payloads,
      get pending() {
        return pending();
      },
      ask: async (method, body, options) => {
        const { timeoutMs } = options;
        const ask = { kind: 'ask', id: this.#nextId++, to: name, method, timeoutMs } as const;
        return await this.#send(ask, body, options).reply;
      },
      // Resolves when the mailbox of the other actor took the message.
      tell: async (method, body) => {
        const tell = { kind: 'tell', id: this.#nextId++, to: name, method } as const;
        await this.#send(tell, body, { timeoutMs: Infinity }).reply;
      },
      stream: (method, body, options) => this.#stream(name, method, body, options),
    });
  }

  /** Calls `listener` with each event of the actor of that name until disposed of. */
  watch(to: string, listener: (event: ActorEvent) => void): Disposable {
    const id = this.#nextId++;
    this.#watches.set(id, listener);
    this.#outbox.post({ kind: 'watch', id, to });
    return {
      [Symbol.dispose]: () => {
        if (this.#watches.delete(id)) this.#outbox.post({ kind: 'unwatch', id });
      },
    };
  }

  /** Takes an answer or an event. Answers to messages that were given up are dropped. */
  take(envelope: Downward, body: Body): void {
    const asked = this.#unanswered.get(envelope.id);
    switch (envelope.kind) {
      case 'event':
        this.#watches.get(envelope.id)?.(decodeEvent(body));
        return;
      case 'item':
        asked?.items?.push(body);
        return;
      case 'reply':
        asked?.resolve(body);
        break;
      case 'refusal':
        asked?.reject(fromWireError(envelope.error));
        break;
    }
    if (asked !== undefined) this.#forget(asked);
  }

  /** Rejects every message that is unanswered, since the actor ends. */
  close(error: CxmindError): void {
    for (const ask of this.#unanswered.values()) ask.reject(error);
    this.#unanswered.clear();
    this.#pending.clear();
    this.#watches.clear();
  }

  async *#stream(
    to: string,
    method: string,
    body: Body,
    options: StreamOptions,
  ): AsyncGenerator<Body, void, undefined> {
    const { timeoutMs, window = defaultWindow } = options;
    const id = this.#nextId++;
    const items = new StreamInbox(window, (count) => {
      this.#outbox.post({ kind: 'credit', id, count });
    });
    const envelope = { kind: 'stream', id, to, method, timeoutMs, window } as const;
    const ask = this.#send(envelope, body, options, items);
    // The inbox throws the error to the reader.
    ask.reply.catch(() => undefined);
    try {
      yield* items.read();
    } finally {
      this.#cancel(ask, cancelledError(`${to}.${method}`, 'its reader left'));
    }
  }

  /** @throws RUNTIME_CANCELLED if the signal is aborted already */
  #send(
    envelope: EnvelopeOf<'ask' | 'stream' | 'tell'>,
    body: Body,
    options: AskOptions,
    items?: StreamInbox,
  ): OutgoingAsk {
    const { id, to: actor, method } = envelope;
    const { signal } = options;
    if (signal?.aborted === true) throw cancelledError(`${actor}.${method}`, signal.reason);
    const ask = new OutgoingAsk({
      ...{ id, actor, method, body, sentMs: 0, ask: options },
      ...(items !== undefined && { items }),
      onCancel: (given, error) => this.#cancel(given, error),
    });
    if (this.#outbox.post(envelope, body)) {
      this.#unanswered.set(id, ask);
      this.#pending.set(actor, (this.#pending.get(actor) ?? 0) + 1);
    } else {
      ask.reject(stoppedError(actor));
    }
    return ask;
  }

  /** Takes a message off those that are unanswered; false if it was not there. */
  #forget({ id, actor }: OutgoingAsk): boolean {
    if (!this.#unanswered.delete(id)) return false;
    this.#pending.set(actor, this.#pending.get(actor)! - 1);
    return true;
  }

  /** Gives up a message that is unanswered. No answer to it is heard any more. */
  #cancel(ask: OutgoingAsk, error: CxmindError): void {
    if (!this.#forget(ask)) return;
    this.#outbox.post({ kind: 'cancel', id: ask.id, reason: toWireError(error) });
    ask.reject(error);
  }
}

/** Ways of a relay to the other actors of the system. */
export interface RelayOptions {
  /** Finds an actor by its name, or by `name@node`; undefined when there is none. */
  readonly find: (address: string) => Sender | undefined;
  /** Calls `listener` with each event of the actor of that name until disposed of. */
  readonly watch: (name: string, listener: (event: ActorEvent) => void) => Disposable;
  readonly onDeadLetter: (actor: string, method: string) => void;
}

/**
 * The system's end: it passes an actor's messages on to others.
 *
 * A `tell` is answered when the other's mailbox has taken it, and items of a stream are passed on as credit allows.
 * Back-pressure thus reaches the sender.
 */
export class Relay {
  readonly #outbox: Outbox;
  readonly #options: RelayOptions;
  readonly #open = new Map<number, { abort: AbortController; outlet?: StreamOutlet }>();
  readonly #watches = new Map<number, Disposable>();

  constructor(channel: Channel, options: RelayOptions) {
    this.#outbox = new Outbox(channel);
    this.#options = options;
  }

  handle(envelope: Upward, body: Body): void {
    switch (envelope.kind) {
      case 'ask':
        void this.#ask(envelope, body);
        return;
      case 'stream':
        void this.#stream(envelope, body);
        return;
      case 'tell':
        void this.#tell(envelope, body);
        return;
      case 'watch':
        this.#watch(envelope);
        return;
      case 'unwatch':
        this.#watches.get(envelope.id)?.[Symbol.dispose]();
        this.#watches.delete(envelope.id);
        return;
      case 'credit':
        this.#open.get(envelope.id)?.outlet?.credit(envelope.count);
        return;
      case 'cancel':
        this.#open.get(envelope.id)?.abort.abort(fromWireError(envelope.reason));
        return;
    }
  }

  /** Cancels the actor's asks and ends its watches, since the actor is gone. */
  close(): void {
    for (const { abort } of this.#open.values()) abort.abort();
    this.#open.clear();
    for (const watch of this.#watches.values()) watch[Symbol.dispose]();
    this.#watches.clear();
  }

  #watch({ id, to }: EnvelopeOf<'watch'>): void {
    const watch = this.#options.watch(to, (event) => {
      this.#outbox.post({ kind: 'event', id }, encodeEvent(event));
    });
    this.#watches.set(id, watch);
  }

  #ask({ id, to, method, timeoutMs }: EnvelopeOf<'ask'>, body: Body): Promise<void> {
    const abort = new AbortController();
    this.#open.set(id, { abort });
    return this.#answer(id, () =>
      this.#senderTo(to).ask(method, body, { timeoutMs, signal: abort.signal }),
    );
  }

  #stream({ id, to, method, timeoutMs, window }: EnvelopeOf<'stream'>, body: Body): Promise<void> {
    const [abort, outlet] = [new AbortController(), new StreamOutlet(window)];
    const { signal } = abort;
    this.#open.set(id, { abort, outlet });
    return this.#answer(id, async () => {
      const items = this.#senderTo(to).stream(method, body, { timeoutMs, window, signal });
      for await (const item of items) {
        await outlet.room(signal);
        this.#outbox.post({ kind: 'item', id }, item);
      }
      return emptyBody;
    });
  }

  #tell({ id, to, method }: EnvelopeOf<'tell'>, body: Body): Promise<void> {
    return this.#answer(id, async () => {
      const sender = this.#options.find(to);
      if (sender === undefined) this.#options.onDeadLetter(to, method);
      else await sender.tell(method, body);
      return emptyBody;
    });
  }

  async #answer(id: number, work: () => Promise<Body>): Promise<void> {
    try {
      this.#outbox.post({ kind: 'reply', id }, await work());
    } catch (error) {
      this.#outbox.post({ kind: 'refusal', id, error: toWireError(error) });
    } finally {
      this.#open.delete(id);
    }
  }

  /** @throws ACTOR_STOPPED for an address that nobody has */
  #senderTo(address: string): Sender {
    const sender = this.#options.find(address);
    if (sender === undefined) throw stoppedError(address);
    return sender;
  }
}

const EventForm = t.intersection([
  t.type({
    kind: t.keyof({ started: null, crashed: null, restarted: null, stopped: null }),
    name: t.string,
    restarts: t.number,
  }),
  t.partial({ node: t.string, error: WireErrorForm }),
]);

function encodeEvent({ error, ...event }: ActorEvent): Body {
  return encodeBody({ ...event, ...(error && { error: toWireError(error) }) });
}

/** Decodes an event. @throws WIRE_INVALID */
function decodeEvent(body: Body): ActorEvent {
  const { error, ...event } = decodeAs(EventForm, decodeBody(body), 'event');
  return { ...event, ...(error && { error: fromWireError(error) }) };
}
