import type * as t from 'io-ts';
import { CxmindError } from '../../src/errors.ts';
import type { ActorEvent } from './event.ts';
import type { ItemOf, MethodOf, Protocol, ReplyOf, RequestOf, StreamOf } from './protocol.ts';
import type { ActorRef } from './ref.ts';

/** Where events go; a pino logger is one. */
export interface Logger {
  debug(fields: object, event: string): void;
  info(fields: object, event: string): void;
  warn(fields: object, event: string): void;
  error(fields: object, event: string): void;
}

/** What a handler knows about the message it works on. */
export interface Context {
  /** Aborted when the caller gave up, the deadline passed, or the actor is being stopped. */
  readonly signal: AbortSignal;
  /** When the caller stops waiting, in milliseconds since the epoch; Infinity for a `tell`. */
  readonly deadline: number;
  readonly logger: Logger;
}

/**
 * The handlers of a protocol: one method per call, one message at a time, in order. A stream's is an async generator,
 * whose items wait for the reader; the actor takes no other message until it is through.
 *
 * What a handler throws rejects that one ask and the actor goes on, unless it is marked by `fatal`.
 * Cancelling reaches a handler through `context.signal`, which needs a turn of the event loop: long synchronous work
 * should yield now and then.
 */
export type Actor<P extends Protocol> = {
  [M in MethodOf<P>]: (
    message: RequestOf<P, M>,
    context: Context,
  ) => ReplyOf<P, M> | Promise<ReplyOf<P, M>>;
} & {
  [M in StreamOf<P>]: (message: RequestOf<P, M>, context: Context) => AsyncIterable<ItemOf<P, M>>;
} & Partial<Disposable> &
  Partial<AsyncDisposable>;

/** Where an actor finds itself when it is made. */
export interface Environment {
  /** Its address, as in `rollout/0`. */
  readonly name: string;
  readonly logger: Logger;
  /** How often it was restarted before; 0 for the first. */
  readonly restarts: number;
  /** Name of the node it is on; undefined in the system's own process. */
  readonly node: string | undefined;
  /** Names of the devices that are its own, as many as it claimed. */
  readonly devices: readonly string[];
  /**
   * Hands state over to the actor's next life, in place of what was kept before; it is encoded, tensors copied, at the
   * call. Whoever got a reply that was sent after the call can rely on it: the state is with the system by then.
   * A crash loses what was done since, and the message that was worked on is not done again.
   *
   * @throws WIRE_INVALID for what is not plain data
   */
  keep(state: unknown): void;
  /**
   * What an earlier life kept last; undefined in the first, and where nothing was kept.
   *
   * @throws WIRE_INVALID when it is not as the codec says
   */
  recall<A>(codec: t.Type<A, unknown>): A | undefined;
  /** Calls `listener` for everything that happens to the actor of that name until disposed of. */
  watch(name: string, listener: (event: ActorEvent) => void): Disposable;
  /** A ref to another actor of the system; asking a name nobody has rejects with ACTOR_STOPPED. */
  refTo<P extends Protocol>(name: string, protocol: P): ActorRef<P>;
}

/** How a worker thread makes an actor from props: exported by the actor's module under a name. */
export interface ActorFactory<P extends Protocol, Props> {
  readonly protocol: P;
  create(props: Props, environment: Environment): Actor<P> | Promise<Actor<P>>;
}

/** The factory of an actor: its protocol and how it is made, anew after each crash. */
export function actorFactory<P extends Protocol, Props>(
  protocol: P,
  create: ActorFactory<P, Props>['create'],
): ActorFactory<P, Props> {
  return { protocol, create };
}

/** The same error, marked so that the actor that throws it counts as crashed. */
export function fatal(error: CxmindError): CxmindError {
  return new CxmindError(error.code, error.message, {
    detail: { ...error.detail, fatal: true },
    cause: error,
  });
}
