import * as E from 'fp-ts/lib/Either.js';
import type * as t from 'io-ts';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import { decodeBody, encodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import type { PayloadMemory } from '../../transport/shared/bytes.ts';
import {
  decodeAs,
  type ItemOf,
  type MethodOf,
  type Protocol,
  type ReplyOf,
  type RequestOf,
  type StreamOf,
} from './protocol.ts';

/** Every ask ends: with a reply, an error, this deadline or this signal. */
export interface AskOptions {
  /** From the call, waiting for room in a full mailbox included. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** A stream ends like an ask: the deadline is that of its last item, from the first time one is asked for. */
export interface StreamOptions extends AskOptions {
  /** Items the actor may be ahead of the reader, at each hop between threads and hosts. Default 16. */
  readonly window?: number;
}

/** Where an actor stands, as far as its ref can know. */
export type ActorStatus = 'starting' | 'running' | 'restarting' | 'stopping' | 'stopped';

/** Asks for a reply. Rejects with the handler's own error, or ACTOR_TIMEOUT, ACTOR_STOPPED, ACTOR_CRASHED. */
export type Ask<P extends Protocol> = {
  readonly [M in MethodOf<P>]: (
    message: RequestOf<P, M>,
    options: AskOptions,
  ) => Promise<ReplyOf<P, M>>;
};

/** Sends without a reply. Resolves once the mailbox took the message, also when it became a dead letter. */
export type Tell<P extends Protocol> = {
  readonly [M in MethodOf<P>]: (message: RequestOf<P, M>) => Promise<void>;
};

/**
 * Asks for a reply item by item. The actor begins when the first item is asked for; to leave the loop early cancels
 * it. Throws, after the items that came, what an ask rejects with. To be read once.
 */
export type Streams<P extends Protocol> = {
  readonly [M in StreamOf<P>]: (
    message: RequestOf<P, M>,
    options: StreamOptions,
  ) => AsyncIterable<ItemOf<P, M>>;
};

/** The address of an actor, wherever it runs. */
export interface ActorRef<P extends Protocol> {
  readonly name: string;
  /** The name, and the node it is on now where that is known: `rollout/0@host-a`. */
  readonly address: string;
  readonly protocol: P;
  readonly ask: Ask<P>;
  readonly tell: Tell<P>;
  readonly stream: Streams<P>;
  /** Messages this side handed over, or waits to hand over, that are not done. */
  readonly pending: number;
  readonly status: ActorStatus;
}

/** Carries encoded messages to one actor: what differs between here, a thread and a host. */
export interface Sender {
  readonly address: string;
  readonly pending: number;
  readonly status: ActorStatus;
  /** Where the tensors of messages go; to memory of their own where nothing is given. */
  readonly payloads?: PayloadMemory;
  ask(method: string, body: Body, options: AskOptions): Promise<Body>;
  tell(method: string, body: Body): Promise<void>;
  stream(method: string, body: Body, options: StreamOptions): AsyncIterable<Body>;
}

/** A typed ref over a sender. Messages are encoded at the call, so what the caller changes later is not sent. */
export function refOver<P extends Protocol>(
  protocol: P,
  name: string,
  sender: Sender,
): ActorRef<P> {
  const ask: Record<string, unknown> = {};
  const tell: Record<string, unknown> = {};
  const stream: Record<string, unknown> = {};
  for (const [method, entry] of Object.entries(protocol.calls)) {
    const encode = (message: unknown): Body =>
      encodeBody(entry.request.encode(message), sender.payloads);
    if ('item' in entry) {
      stream[method] = (message: unknown, options: StreamOptions): AsyncIterable<unknown> => {
        const items = sender.stream(method, encode(message), options);
        return decoded(items, entry.item, `${name}.${method} item`);
      };
      continue;
    }
    ask[method] = async (message: unknown, options: AskOptions): Promise<unknown> => {
      const body = await sender.ask(method, encode(message), options);
      return decodeAs<unknown>(entry.reply, valueOf(body), `${name}.${method} reply`);
    };
    tell[method] = (message: unknown): Promise<void> => {
      try {
        return sender.tell(method, encode(message));
      } catch (error) {
        return Promise.reject(asCxmindError(error));
      }
    };
  }
  return {
    name,
    protocol,
    ask: ask as Ask<P>,
    tell: tell as Tell<P>,
    stream: stream as Streams<P>,
    get address() {
      return sender.address;
    },
    get pending() {
      return sender.pending;
    },
    get status() {
      return sender.status;
    },
  };
}

async function* decoded(
  bodies: AsyncIterable<Body>,
  item: t.Mixed,
  where: string,
): AsyncGenerator<unknown, void, undefined> {
  for await (const body of bodies) yield decodeAs<unknown>(item, valueOf(body), where);
}

/** The value of a body. @throws WIRE_INVALID */
export function valueOf(body: Body): unknown {
  const value = decodeBody(body);
  if (E.isLeft(value)) throw value.left;
  return value.right;
}

/** The error of an ask that reached nobody. */
export function stoppedError(name: string, cause?: unknown): CxmindError {
  return new CxmindError('ACTOR_STOPPED', `${name} is stopped`, {
    detail: { actor: name },
    ...(cause === undefined ? {} : { cause }),
  });
}
