/** An actor as its author sees it: the handlers to write, what they are given, and the factory that makes it. */
import type * as t from 'io-ts';
import { CxmindError } from '../../src/errors.ts';
import type { LogLevel } from '../../src/log.ts';
import type { ItemOf, MethodOf, Protocol, ReplyOf, RequestOf, StreamOf } from './protocol.ts';
import type { ActorRef, ActorStatus } from './ref.ts';

/** Destination of log events; a pino logger is one. */
export type Logger = Readonly<Record<LogLevel, (fields: object, event: string) => void>>;

/** Facts about the message that a handler works on. */
export interface Context {
  /** Aborted when the caller gave up, the deadline passed, or the actor is being stopped. */
  readonly signal: AbortSignal;
  /** Time at which the caller stops waiting, in milliseconds since the epoch; Infinity for a `tell`. */
  readonly deadline: number;
  readonly logger: Logger;
}

/**
 * Handlers of a protocol: one method per call. An actor works on one message at a time, in order.
 *
 * The handler of a stream is an async generator whose items wait for the reader. The actor takes no other message until
 * the stream is through. An error that a handler throws rejects that one ask, and the actor goes on, unless the error is
 * marked by `fatal`. Cancelling reaches a handler through `context.signal`, which needs a turn of the event loop, so
 * long synchronous work should yield now and then.
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

/** Something that happened to an actor. */
export interface ActorEvent {
  readonly kind: 'started' | 'crashed' | 'restarted' | 'stopped';
  readonly name: string;
  /** Name of the node it is or was on; undefined in the system's own process. */
  readonly node?: string;
  /** Number of restarts since its spawn. */
  readonly restarts: number;
  /** Cause of a crash, and of the stop that follows from one. */
  readonly error?: CxmindError;
}

/** An actor as its supervision sees it. */
export interface ActorSnapshot {
  readonly name: string;
  readonly status: ActorStatus;
  /** Name of the node it is on; undefined in the system's own process. */
  readonly node: string | undefined;
  /** Number of messages that are not done. */
  readonly pending: number;
  /** Number of messages that its mailbox takes. */
  readonly capacity: number;
  /** Method that it works on; null where it waits for a message. */
  readonly method: string | null;
  /** Time at which that began, by `performance.now()`; 0 where nobody watches the work of actors. */
  readonly sinceMs: number;
  readonly restarts: number;
  /** Bytes of its thread's JavaScript heap; null where it has no thread in this process. */
  readonly heapBytes: number | null;
  /** Reason of its newest crash. */
  readonly lastError: CxmindError | undefined;
}

/** Surroundings of an actor, given to it when it is made. */
export interface Environment {
  /** The actor's name, as in `rollout/0`. */
  readonly name: string;
  readonly logger: Logger;
  /** Number of earlier restarts. */
  readonly restarts: number;
  /** Name of the actor's node; undefined in the system's own process. */
  readonly node: string | undefined;
  /** Names of the devices that belong to the actor alone, as many as it claimed. */
  readonly devices: readonly string[];
  /**
   * Keeps state for the actor's next incarnation, in place of what was kept before.
   *
   * The state is encoded at the call, and its tensors are copied. Whoever got a reply that was sent after the call can
   * rely on it, since the state is with the system by then. A crash loses what was done since, and the message that was
   * worked on is not done again.
   *
   * @throws WIRE_INVALID for what is not plain data
   */
  keep(state: unknown): void;
  /**
   * Decodes the state that an earlier incarnation kept last; undefined where nothing was kept.
   *
   * @throws WIRE_INVALID for state that is not as the codec says
   */
  recall<A>(codec: t.Type<A, unknown>): A | undefined;
  /** Calls `listener` for everything that happens to the actor of that name until disposed of. */
  watch(name: string, listener: (event: ActorEvent) => void): Disposable;
  /** Makes a ref to another actor of the system. An ask to a name that nobody has rejects with ACTOR_STOPPED. */
  refTo<P extends Protocol>(name: string, protocol: P): ActorRef<P>;
}

/** Recipe by which a worker thread makes an actor from props. The actor's module exports it under a name. */
export interface ActorFactory<P extends Protocol, Props> {
  readonly protocol: P;
  create(props: Props, environment: Environment): Actor<P> | Promise<Actor<P>>;
}

/** Makes the factory of an actor: its protocol, and how it is made anew for each incarnation. */
export function actorFactory<P extends Protocol, Props>(
  protocol: P,
  create: ActorFactory<P, Props>['create'],
): ActorFactory<P, Props> {
  return { protocol, create };
}

/** Marks an error so that the actor that throws it counts as crashed. */
export function fatal(error: CxmindError): CxmindError {
  return new CxmindError(error.code, error.message, {
    detail: { ...error.detail, fatal: true },
    cause: error,
  });
}
