import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { CxmindError } from '../../src/errors.ts';

/** One thing an actor can be asked: the codec of the message and of the reply. */
export interface Call<Request extends t.Mixed = t.Mixed, Reply extends t.Mixed = t.Mixed> {
  readonly request: Request;
  readonly reply: Reply;
}

/** Calls by name. */
export type Calls = Readonly<Record<string, Call>>;

/** What may be said to an actor: a value from which refs, handlers and wire checks derive. */
export interface Protocol<C extends Calls = Calls> {
  readonly name: string;
  readonly calls: C;
}

/** The names of the calls. */
export type MethodOf<P extends Protocol> = keyof P['calls'] & string;
/** What a call takes. */
export type RequestOf<P extends Protocol, M extends MethodOf<P>> = t.TypeOf<
  P['calls'][M]['request']
>;
/** What a call is answered by. */
export type ReplyOf<P extends Protocol, M extends MethodOf<P>> = t.TypeOf<P['calls'][M]['reply']>;

/** A call that takes `request` and is answered by `reply`; `t.void` where there is nothing to say. */
export function call<Request extends t.Mixed, Reply extends t.Mixed>(
  request: Request,
  reply: Reply,
): Call<Request, Reply> {
  return { request, reply };
}

/** The protocol of a kind of actor; `name` is what logs and errors call it. */
export function protocol<C extends Calls>(name: string, calls: C): Protocol<C> {
  return { name, calls };
}

/** The call behind a method name that came over a wire, or WIRE_INVALID. */
export function callOf(protocol: Protocol, method: string): Call {
  const found = Object.hasOwn(protocol.calls, method) ? protocol.calls[method] : undefined;
  if (found === undefined) {
    throw new CxmindError('WIRE_INVALID', `${protocol.name} has no call '${method}'`);
  }
  return found;
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
