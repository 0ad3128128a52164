import { asCxmindError, CxmindError, fromWireError, toWireError } from '../../src/errors.ts';
import type { Channel } from '../../transport/channel.ts';
import type { Body } from '../../transport/frame.ts';
import type { PayloadMemory } from '../../transport/shared/bytes.ts';
import { post, type EnvelopeOf } from './envelope.ts';
import { decodeEvent, type ActorEvent } from './event.ts';
import type { Protocol } from './protocol.ts';
import {
  refOver,
  stoppedError,
  type ActorRef,
  type AskOptions,
  type Sender,
  type StreamOptions,
} from './ref.ts';
import { defaultWindow, StreamInbox } from './stream.ts';

/** What waits for an answer from the far end. */
interface Pending {
  readonly resolve: (body: Body) => void;
  readonly reject: (error: CxmindError) => void;
  readonly items?: StreamInbox;
}

type Incoming =
  EnvelopeOf<'event'> | EnvelopeOf<'item'> | EnvelopeOf<'reply'> | EnvelopeOf<'refusal'>;

/** An actor's way to other actors: the system at the far end of its channel passes messages on. */
export class Uplink {
  readonly payloads: PayloadMemory;
  readonly #channel: Channel;
  readonly #open = new Map<number, Pending>();
  readonly #watches = new Map<number, (event: ActorEvent) => void>();
  #nextId = 0;

  /** @param payloads where the tensors of messages go */
  constructor(channel: Channel, payloads: PayloadMemory) {
    this.#channel = channel;
    this.payloads = payloads;
  }

  /** A ref to the actor of that name; its `pending` counts this actor's own messages. */
  refTo<P extends Protocol>(name: string, protocol: P): ActorRef<P> {
    return refOver(protocol, name, new RelayedSender(this, name));
  }

  /** Hears of what happens to the actor of that name until disposed of. */
  watch(to: string, listener: (event: ActorEvent) => void): Disposable {
    const id = this.#nextId++;
    this.#watches.set(id, listener);
    post(this.#channel, { kind: 'watch', id, to });
    return {
      [Symbol.dispose]: () => {
        if (this.#watches.delete(id)) post(this.#channel, { kind: 'unwatch', id });
      },
    };
  }

  /** Takes an answer or an event; answers to asks given up are dropped. */
  take(envelope: Incoming, body: Body): void {
    if (envelope.kind === 'event') {
      this.#watches.get(envelope.id)?.(decodeEvent(body));
      return;
    }
    const pending = this.#open.get(envelope.id);
    if (envelope.kind === 'item') {
      pending?.items?.push(body);
      return;
    }
    this.#open.delete(envelope.id);
    if (envelope.kind === 'reply') pending?.resolve(body);
    else pending?.reject(fromWireError(envelope.error));
  }

  /** Rejects whatever is open: the actor is going. */
  close(error: CxmindError): void {
    for (const { reject } of this.#open.values()) reject(error);
    this.#open.clear();
    this.#watches.clear();
  }

  async ask(to: string, method: string, body: Body, options: AskOptions): Promise<Body> {
    const { timeoutMs, signal } = options;
    const id = this.#nextId++;
    const where = `${to}.${method}`;
    if (signal?.aborted === true) throw cancelledError(where, signal.reason);
    const cancel = (): void => this.#cancel(id, cancelledError(where, signal?.reason));
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      return await this.#send({ kind: 'ask', id, to, method, timeoutMs }, body);
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  async *stream(
    to: string,
    method: string,
    body: Body,
    options: StreamOptions,
  ): AsyncGenerator<Body, void, undefined> {
    const { timeoutMs, signal, window = defaultWindow } = options;
    const id = this.#nextId++;
    const where = `${to}.${method}`;
    if (signal?.aborted === true) throw cancelledError(where, signal.reason);
    const items = new StreamInbox(window, (count) => {
      post(this.#channel, { kind: 'credit', id, count });
    });
    const cancel = (): void => this.#cancel(id, cancelledError(where, signal?.reason));
    signal?.addEventListener('abort', cancel, { once: true });
    this.#send({ kind: 'stream', id, to, method, timeoutMs, window }, body, items).then(
      () => items.end(),
      (error: unknown) => items.end(asCxmindError(error)),
    );
    try {
      yield* items.read();
    } finally {
      signal?.removeEventListener('abort', cancel);
      this.#cancel(id, cancelledError(where, 'its reader left'));
    }
  }

  /** Resolves when the mailbox at the far end took the message. */
  async tell(to: string, method: string, body: Body): Promise<void> {
    await this.#send({ kind: 'tell', id: this.#nextId++, to, method }, body);
  }

  async #send(
    envelope: EnvelopeOf<'ask'> | EnvelopeOf<'stream'> | EnvelopeOf<'tell'>,
    body: Body,
    items?: StreamInbox,
  ): Promise<Body> {
    const { promise, resolve, reject } = Promise.withResolvers<Body>();
    this.#open.set(envelope.id, { resolve, reject, ...(items && { items }) });
    if (!post(this.#channel, envelope, body)) reject(stoppedError(envelope.to));
    try {
      return await promise;
    } finally {
      this.#open.delete(envelope.id);
    }
  }

  /** Gives up on what is still open; no answer to it is heard any more. */
  #cancel(id: number, error: CxmindError): void {
    const pending = this.#open.get(id);
    if (pending === undefined) return;
    post(this.#channel, { kind: 'cancel', id, reason: toWireError(error) });
    this.#open.delete(id);
    pending.reject(error);
  }
}

/** The error of an ask whose signal was aborted. */
export function cancelledError(where: string, reason: unknown): CxmindError {
  return new CxmindError('RUNTIME_CANCELLED', `${where} was cancelled by its caller`, {
    cause: asCxmindError(reason),
  });
}

class RelayedSender implements Sender {
  readonly address: string;
  readonly status = 'running';
  readonly payloads: PayloadMemory;
  readonly #uplink: Uplink;
  #pending = 0;

  constructor(uplink: Uplink, to: string) {
    this.#uplink = uplink;
    this.payloads = uplink.payloads;
    this.address = to;
  }

  get pending(): number {
    return this.#pending;
  }

  ask(method: string, body: Body, options: AskOptions): Promise<Body> {
    return this.#counted(this.#uplink.ask(this.address, method, body, options));
  }

  tell(method: string, body: Body): Promise<void> {
    return this.#counted(this.#uplink.tell(this.address, method, body));
  }

  async *stream(
    method: string,
    body: Body,
    options: StreamOptions,
  ): AsyncGenerator<Body, void, undefined> {
    this.#pending++;
    try {
      yield* this.#uplink.stream(this.address, method, body, options);
    } finally {
      this.#pending--;
    }
  }

  async #counted<T>(work: Promise<T>): Promise<T> {
    this.#pending++;
    try {
      return await work;
    } finally {
      this.#pending--;
    }
  }
}
