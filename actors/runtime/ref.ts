/** References to actors: typed asks, tells and streams over a sender that knows bytes alone. */
import type * as t from 'io-ts';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import { decodeBody, encodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import type { PayloadMemory } from '../../transport/shared/payload-memory.ts';
import {
  decodeAs,
  type ItemOf,
  type MethodOf,
  type Protocol,
  type ReplyOf,
  type RequestOf,
  type StreamOf,
} from './protocol.ts';

/** Bounds of an ask. Every ask ends: with a reply, an error, this deadline or this signal. */
export interface AskOptions {
  /** Time from the call, with the wait for room in a full mailbox. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** Bounds of a stream. The deadline is that of its last item, counted from when the first one is asked for. */
export interface StreamOptions extends AskOptions {
  /** Number of items by which the actor may be ahead of its reader, at each hop between threads and hosts. Default 16. */
  readonly window?: number;
}

/** State of an actor, as far as its ref can know. */
export type ActorStatus = 'starting' | 'running' | 'restarting' | 'stopping' | 'stopped';

/**
 * Sends a message and waits for the reply. Rejects with the handler's own error, or ACTOR_TIMEOUT, ACTOR_STOPPED,
 * ACTOR_CRASHED.
 */
export type Ask<P extends Protocol> = {
  readonly [M in MethodOf<P>]: (
    message: RequestOf<P, M>,
    options: AskOptions,
  ) => Promise<ReplyOf<P, M>>;
};

/** Sends a message that has no reply. Resolves once the mailbox took it, also when it became a dead letter. */
export type Tell<P extends Protocol> = {
  readonly [M in MethodOf<P>]: (message: RequestOf<P, M>) => Promise<void>;
};

/**
 * Sends a message and reads the reply item by item, once.
 *
 * The actor begins when the first item is asked for. Leaving the loop early cancels it. The loop throws, after the
 * items that came, what an ask rejects with.
 */
export type Streams<P extends Protocol> = {
  readonly [M in StreamOf<P>]: (
    message: RequestOf<P, M>,
    options: StreamOptions,
  ) => AsyncIterable<ItemOf<P, M>>;
};

/** Reference to an actor, wherever it runs. */
export interface ActorRef<P extends Protocol> {
  readonly name: string;
  /** Name, and where it is known the actor's present node: `rollout/0@host-a`. */
  readonly address: string;
  readonly protocol: P;
  readonly ask: Ask<P>;
  readonly tell: Tell<P>;
  readonly stream: Streams<P>;
  /** Number of messages that this side has sent, or waits to send, and that are not done. */
  readonly pending: number;
  readonly status: ActorStatus;
}

/** Sender of encoded messages to one actor. The `Cell` is one, and so is an actor's uplink to another actor. */
export interface Sender {
  readonly address: string;
  readonly pending: number;
  readonly status: ActorStatus;
  /** Memory for the tensors of messages. Default: memory of their own. */
  readonly payloads?: PayloadMemory;
  ask(method: string, body: Body, options: AskOptions): Promise<Body>;
  tell(method: string, body: Body): Promise<void>;
  stream(method: string, body: Body, options: StreamOptions): AsyncIterable<Body>;
}

/**
 * Makes a typed ref over a sender.
 *
 * A message is encoded at the call, so changes that the caller makes later are not sent.
 */
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
      return decodeAs<unknown>(entry.reply, decodeBody(body), `${name}.${method} reply`);
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
  for await (const body of bodies) yield decodeAs<unknown>(item, decodeBody(body), where);
}

/** Makes the error of an ask that reached nobody. */
export function stoppedError(name: string, cause?: unknown): CxmindError {
  return new CxmindError('ACTOR_STOPPED', `${name} is stopped`, {
    detail: { actor: name },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Makes the error of an ask whose signal was aborted. */
export function cancelledError(where: string, reason: unknown): CxmindError {
  return new CxmindError('RUNTIME_CANCELLED', `${where} was cancelled by its caller`, {
    cause: asCxmindError(reason),
  });
}
