import * as E from 'fp-ts/lib/Either.js';
import { CxmindError } from '../../src/errors.ts';
import { decodeBody, encodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import {
  decodeAs,
  type MethodOf,
  type Protocol,
  type ReplyOf,
  type RequestOf,
} from './protocol.ts';

/** Every ask ends: with a reply, an error, this deadline or this signal. */
export interface AskOptions {
  /** From the call, waiting for room in a full mailbox included. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
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

/** The address of an actor, wherever it runs. */
export interface ActorRef<P extends Protocol> {
  readonly name: string;
  /** The name, and the node it is on now where that is known: `rollout/0@host-a`. */
  readonly address: string;
  readonly protocol: P;
  readonly ask: Ask<P>;
  readonly tell: Tell<P>;
  /** Messages this side handed over, or waits to hand over, that are not done. */
  readonly pending: number;
  readonly status: ActorStatus;
}

/** Carries encoded messages to one actor: what differs between here, a thread and a host. */
export interface Courier {
  readonly address: string;
  readonly pending: number;
  readonly status: ActorStatus;
  ask(method: string, body: Body, options: AskOptions): Promise<Body>;
  tell(method: string, body: Body): Promise<void>;
}

/** A typed ref over a courier. Messages are encoded at the call, so what the caller changes later is not sent. */
export function refOver<P extends Protocol>(
  protocol: P,
  name: string,
  courier: Courier,
): ActorRef<P> {
  const ask: Record<string, unknown> = {};
  const tell: Record<string, unknown> = {};
  for (const [method, { request, reply }] of Object.entries(protocol.calls)) {
    ask[method] = async (message: unknown, options: AskOptions): Promise<unknown> => {
      const body = await courier.ask(method, encodeBody(request.encode(message)), options);
      return decodeAs<unknown>(reply, valueOf(body), `${name}.${method} reply`);
    };
    tell[method] = async (message: unknown): Promise<void> => {
      await courier.tell(method, encodeBody(request.encode(message)));
    };
  }
  return {
    name,
    protocol,
    ask: ask as Ask<P>,
    tell: tell as Tell<P>,
    get address() {
      return courier.address;
    },
    get pending() {
      return courier.pending;
    },
    get status() {
      return courier.status;
    },
  };
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
