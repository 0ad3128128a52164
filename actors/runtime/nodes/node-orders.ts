/**
 * Orders between a system and one of its nodes, over one link. The system opens every channel:
 *
 *   control          first `hello`, answered by `welcome`; then the orders about incarnations, which thus never wait
 *                    behind messages
 *   an incarnation   first `start`, with the props in the body; then the packets between a cell and the host of its
 *                    actor, which the node passes on unread
 *
 * An incarnation is known by a number that the system counts up for each link.
 */
import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { asCxmindError, type CxmindError } from '../../../src/errors.ts';
import type { Channel, Packet } from '../../../transport/channel.ts';
import { decodeValue, encodeValue } from '../../../transport/codec.ts';
import { join, split, type Body } from '../../../transport/frame.ts';
import { emptyBody, Logged, WireErrorForm } from '../envelope.ts';
import { decodeAs } from '../protocol.ts';

/** Version of the orders. Both ends must have the same, so it is raised when the orders change. */
export const nodeVersion = 4;

const numbered = { incarnation: t.number };

const orders = {
  hello: t.type({ kind: t.literal('hello'), version: t.number, node: t.string }),
  /** Answer of the node. `slots` is its number of cores. */
  welcome: t.type({
    kind: t.literal('welcome'),
    version: t.number,
    slots: t.number,
    pid: t.number,
  }),
  /** Begins an incarnation. The body holds `{ props }`, and `kept` where there is such state. */
  start: t.type({
    kind: t.literal('start'),
    ...numbered,
    /** Number of the incarnation before, if that was on this node. Its thread may be there still. */
    previous: t.union([t.number, t.null]),
    name: t.string,
    restarts: t.number,
    protocolName: t.string,
    /** Address made by `addressOfModule`. */
    module: t.string,
    create: t.string,
    devices: t.array(t.string),
    heapLimitMb: t.union([t.number, t.null]),
    /** Runs it on the node's main thread, without one of its own. */
    isLocal: t.boolean,
  }),
  /** Tells that the incarnation has a thread, so that later orders find it. */
  started: t.type({ kind: t.literal('started'), ...numbered }),
  /** Carries the header of a packet, in the body's bytes, past the messages that wait. */
  urgent: t.type({ kind: t.literal('urgent'), ...numbered }),
  terminate: t.type({ kind: t.literal('terminate'), ...numbered }),
  /** Tells that no incarnation follows on the thread of this one. */
  retire: t.type({ kind: t.literal('retire'), ...numbered }),
  /** Tells that nothing of the incarnation runs any more. Its channel is closed once everything it sent is through. */
  ended: t.type({ kind: t.literal('ended'), ...numbered, error: WireErrorForm }),
  /** Log event of the node itself. Its fields are in the body. */
  log: t.intersection([t.type({ kind: t.literal('log') }), Logged]),
};

type Kind = keyof typeof orders;
/** An order of some of the kinds. */
export type OrderOf<K extends Kind> = t.TypeOf<(typeof orders)[K]>;
/** An order of any kind. */
export type Order = OrderOf<Kind>;

const Kinded = t.type({ kind: t.keyof(orders) });

/** Sends one order. Returns false when the channel is closed. */
export function postOrder(channel: Channel, order: Order, body: Body = emptyBody): boolean {
  return channel.send(join(encodeValue(order), body));
}

/** Opens a packet: its order, and its body still encoded. WIRE_INVALID for anything else. */
export function openOrder(
  packet: Packet,
): E.Either<CxmindError, { readonly order: Order; readonly body: Body }> {
  return E.tryCatch(() => {
    const { envelope, body } = split(packet);
    const value = decodeValue(envelope);
    const { kind } = decodeAs(Kinded, value, 'order');
    return { order: decodeAs<Order>(orders[kind] as t.Mixed, value, `order ${kind}`), body };
  }, asCxmindError);
}
