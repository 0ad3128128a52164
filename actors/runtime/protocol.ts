import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { CxmindError } from '../../src/errors.ts';

/** One thing an actor can be asked: the codec of the message and of the reply. */
export interface Call<Request extends t.Mixed = t.Mixed, Reply extends t.Mixed = t.Mixed> {
  readonly request: Request;
  readonly reply: Reply;
}

/** One thing an actor can be asked that it answers item by item: the codec of the message and of an item. */
export interface Stream<Request extends t.Mixed = t.Mixed, Item extends t.Mixed = t.Mixed> {
  readonly request: Request;
  readonly item: Item;
}

/** Calls and streams by name. */
export type Calls = Readonly<Record<string, Call | Stream>>;

/** What may be said to an actor: a value from which refs, handlers and wire checks derive. */
export interface Protocol<C extends Calls = Calls> {
  readonly name: string;
  readonly calls: C;
}

/** The keys of `C` whose entries are of a form. */
type KeysOf<C, Form> = { [K in keyof C]: C[K] extends Form ? K : never }[keyof C] & string;

/** The names of the calls. */
export type MethodOf<P extends Protocol> = KeysOf<P['calls'], Call>;
/** The names of the streams. */
export type StreamOf<P extends Protocol> = KeysOf<P['calls'], Stream>;
/** What a call or a stream takes. */
export type RequestOf<P extends Protocol, M extends keyof P['calls']> = t.TypeOf<
  P['calls'][M]['request']
>;
/** What a call is answered by. */
export type ReplyOf<P extends Protocol, M extends keyof P['calls']> = P['calls'][M] extends {
  readonly reply: infer Reply extends t.Mixed;
}
  ? t.TypeOf<Reply>
  : never;
/** What a stream is answered by, again and again. */
export type ItemOf<P extends Protocol, M extends keyof P['calls']> = P['calls'][M] extends {
  readonly item: infer Item extends t.Mixed;
}
  ? t.TypeOf<Item>
  : never;

/** A call that takes `request` and is answered by `reply`; `t.void` where there is nothing to say. */
export function call<Request extends t.Mixed, Reply extends t.Mixed>(
  request: Request,
  reply: Reply,
): Call<Request, Reply> {
  return { request, reply };
}

/** A stream that takes `request` and is answered by any number of `item`s. */
export function stream<Request extends t.Mixed, Item extends t.Mixed>(
  request: Request,
  item: Item,
): Stream<Request, Item> {
  return { request, item };
}

/** The protocol of a kind of actor; `name` is what logs and errors call it. */
export function protocol<C extends Calls>(name: string, calls: C): Protocol<C> {
  return { name, calls };
}

/** The call behind a method name that came over a wire, or WIRE_INVALID. */
export function callOf(protocol: Protocol, method: string): Call {
  const found = entryOf(protocol, method);
  if (found !== undefined && 'reply' in found) return found;
  throw new CxmindError('WIRE_INVALID', `${protocol.name} has no call '${method}'`);
}

/** The stream behind a method name that came over a wire, or WIRE_INVALID. */
export function streamOf(protocol: Protocol, method: string): Stream {
  const found = entryOf(protocol, method);
  if (found !== undefined && 'item' in found) return found;
  throw new CxmindError('WIRE_INVALID', `${protocol.name} has no stream '${method}'`);
}

function entryOf({ calls }: Protocol, method: string): Call | Stream | undefined {
  return Object.hasOwn(calls, method) ? calls[method] : undefined;
}

/**
 * The value a codec accepts.
 *
 * @throws WIRE_INVALID naming the path, what was expected and what came
 */
export function decodeAs<A>(codec: t.Type<A, unknown>, value: unknown, where: string): A {
  const decoded = codec.decode(value);
  if (E.isRight(decoded)) return decoded.right;
  const issues = decoded.left.map(describe);
  throw new CxmindError('WIRE_INVALID', `${where}: ${issues[0] ?? 'not decoded'}`, {
    detail: { issues: issues.slice(0, 10) },
  });
}

function describe({ context, value }: t.ValidationError): string {
  const path = context
    .slice(1)
    .map(({ key }) => key)
    .join('.');
  const expected = context.at(-1)?.type.name ?? 'something else';
  return `${path || 'message'}: expected ${expected}, got ${kindOf(value)}`;
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (Array.isArray(value)) return 'an array';
  return typeof value === 'object' ? 'an object' : JSON.stringify(value) || typeof value;
}
