/**
 * Protocols of actors: values from which the types of refs and handlers derive, and by which messages are checked where
 * they arrive.
 */
import { isRight } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { formatIssue, issuesOf } from '../../src/check/issues.ts';
import { CxmindError } from '../../src/errors.ts';

/** Codecs of a call: of its message and of its reply. */
export interface Call<Request extends t.Mixed = t.Mixed, Reply extends t.Mixed = t.Mixed> {
  readonly request: Request;
  readonly reply: Reply;
}

/** Codecs of a stream: of its message and of an item of its reply. */
export interface Stream<Request extends t.Mixed = t.Mixed, Item extends t.Mixed = t.Mixed> {
  readonly request: Request;
  readonly item: Item;
}

/** Calls and streams by name. */
export type Calls = Readonly<Record<string, Call | Stream>>;

/**
 * Protocol of an actor: the calls and streams that it has.
 *
 * It is a value. The types of refs and handlers derive from it, and so do the checks of messages that come over a wire.
 */
export interface Protocol<C extends Calls = Calls> {
  readonly name: string;
  readonly calls: C;
}

/** Keys of `C` whose entries are of a form. */
type KeysOf<C, Form> = { [K in keyof C]: C[K] extends Form ? K : never }[keyof C] & string;

/** Names of the calls. */
export type MethodOf<P extends Protocol> = KeysOf<P['calls'], Call>;
/** Names of the streams. */
export type StreamOf<P extends Protocol> = KeysOf<P['calls'], Stream>;
/** Message of a call or a stream. */
export type RequestOf<P extends Protocol, M extends keyof P['calls']> = t.TypeOf<
  P['calls'][M]['request']
>;
/** Reply of a call. */
export type ReplyOf<P extends Protocol, M extends keyof P['calls']> = P['calls'][M] extends {
  readonly reply: infer Reply extends t.Mixed;
}
  ? t.TypeOf<Reply>
  : never;
/** Item of a stream's reply. */
export type ItemOf<P extends Protocol, M extends keyof P['calls']> = P['calls'][M] extends {
  readonly item: infer Item extends t.Mixed;
}
  ? t.TypeOf<Item>
  : never;

/** Makes a call that takes `request` and is answered by `reply`; `t.void` stands for nothing. */
export function call<Request extends t.Mixed, Reply extends t.Mixed>(
  request: Request,
  reply: Reply,
): Call<Request, Reply> {
  return { request, reply };
}

/** Makes a stream that takes `request` and is answered by any number of `item`s. */
export function stream<Request extends t.Mixed, Item extends t.Mixed>(
  request: Request,
  item: Item,
): Stream<Request, Item> {
  return { request, item };
}

/** Makes the protocol of a kind of actor. Logs and errors call it by `name`. */
export function protocol<C extends Calls>(name: string, calls: C): Protocol<C> {
  return { name, calls };
}

/** Finds the call of a method name that came over a wire. @throws WIRE_INVALID */
export function callOf(protocol: Protocol, method: string): Call {
  const found = entryOf(protocol, method);
  if (found !== undefined && 'reply' in found) return found;
  throw new CxmindError('WIRE_INVALID', `${protocol.name} has no call '${method}'`);
}

/** Finds the stream of a method name that came over a wire. @throws WIRE_INVALID */
export function streamOf(protocol: Protocol, method: string): Stream {
  const found = entryOf(protocol, method);
  if (found !== undefined && 'item' in found) return found;
  throw new CxmindError('WIRE_INVALID', `${protocol.name} has no stream '${method}'`);
}

function entryOf({ calls }: Protocol, method: string): Call | Stream | undefined {
  return Object.hasOwn(calls, method) ? calls[method] : undefined;
}

/**
 * Decodes a value.
 *
 * @throws WIRE_INVALID with the path, what was expected and what came
 */
export function decodeAs<A>(codec: t.Type<A, unknown>, value: unknown, where: string): A {
  const decoded = codec.decode(value);
  if (isRight(decoded)) return decoded.right;
  const issues = issuesOf(codec, decoded.left.slice(0, 10)).map(formatIssue);
  throw new CxmindError('WIRE_INVALID', `${where}: ${issues[0]!}`, { detail: { issues } });
}
