import { asCxmindError, CxmindError, fromWireError, toWireError } from '../../src/errors.ts';
import type { Channel } from '../../transport/channel.ts';
import type { Body } from '../../transport/frame.ts';
import { post, type Envelope } from './envelope.ts';
import type { Protocol } from './protocol.ts';
import { refOver, stoppedError, type ActorRef, type AskOptions, type Courier } from './ref.ts';

interface OpenAsk {
  readonly resolve: (body: Body) => void;
  readonly reject: (error: CxmindError) => void;
}

/** An actor's way to other actors: the system at the far end of its channel passes messages on. */
export class Uplink {
  readonly #channel: Channel;
  readonly #open = new Map<number, OpenAsk>();
  #nextId = 0;

  constructor(channel: Channel) {
    this.#channel = channel;
  }

  /** A ref to the actor of that name; its `pending` counts this actor's own messages. */
  refTo<P extends Protocol>(name: string, protocol: P): ActorRef<P> {
    return refOver(protocol, name, new RelayedCourier(this, name));
  }

  /** Takes an answer; answers to asks given up are dropped. */
  settle(envelope: Envelope, body: Body): void {
    if (envelope.kind !== 'reply' && envelope.kind !== 'refusal') return;
    const ask = this.#open.get(envelope.id);
    this.#open.delete(envelope.id);
    if (envelope.kind === 'reply') ask?.resolve(body);
    else ask?.reject(fromWireError(envelope.error));
  }

  /** Rejects whatever is open: the actor is going. */
  close(error: CxmindError): void {
    for (const { reject } of this.#open.values()) reject(error);
    this.#open.clear();
  }

  async ask(to: string, method: string, body: Body, options: AskOptions): Promise<Body> {
    const { timeoutMs, signal } = options;
    const id = this.#nextId++;
    const where = `${to}.${method}`;
    if (signal?.aborted === true) throw cancelledError(where, signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers<Body>();
    this.#open.set(id, { resolve, reject });
    const cancel = (): void => {
      const error = cancelledError(where, signal?.reason);
      post(this.#channel, { kind: 'cancel', id, reason: toWireError(error) });
      this.#open.delete(id);
      reject(error);
    };
    signal?.addEventListener('abort', cancel, { once: true });
    if (!post(this.#channel, { kind: 'ask', id, to, method, timeoutMs }, body)) {
      reject(stoppedError(to));
    }
    try {
      return await promise;
    } finally {
      this.#open.delete(id);
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** Resolves when the mailbox at the far end took the message. */
  async tell(to: string, method: string, body: Body): Promise<void> {
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<Body>();
    this.#open.set(id, { resolve, reject });
    if (!post(this.#channel, { kind: 'tell', id, to, method }, body)) reject(stoppedError(to));
    try {
      await promise;
    } finally {
      this.#open.delete(id);
    }
  }
}

/** The error of an ask whose signal was aborted. */
export function cancelledError(where: string, reason: unknown): CxmindError {
  return new CxmindError('RUNTIME_CANCELLED', `${where} was cancelled by its caller`, {
    cause: asCxmindError(reason),
  });
}

class RelayedCourier implements Courier {
  readonly address: string;
  readonly status = 'running';
  readonly #uplink: Uplink;
  #pending = 0;

  constructor(uplink: Uplink, to: string) {
    this.#uplink = uplink;
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

  async #counted<T>(work: Promise<T>): Promise<T> {
    this.#pending++;
    try {
      return await work;
    } finally {
      this.#pending--;
    }
  }
}
