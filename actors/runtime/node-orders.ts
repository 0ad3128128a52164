import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { CxmindError } from '../../src/errors.ts';
import type { Channel, Packet } from '../../transport/channel.ts';
import { decodeValue, encodeValue } from '../../transport/codec.ts';
import { join, split, type Body } from '../../transport/frame.ts';
import { emptyBody, Logged, WireErrorForm } from './envelope.ts';

/*
 * A system and a node of it speak over one link. The system opens every channel:
 *
 *   control   first `hello`, answered by `welcome`; then what concerns lives, none of it held up by their messages
 *   a life    first `start` with the props in the body; then the packets between a cell and the host of its actor,
 *             which the node passes on without a look
 *
 * A life is named by a number that the system counts up for each link.
 */

/** Raised when the orders change: both ends must be of one version. */
export const nodeVersion = 2;

const ofLife = { life: t.number };

const orders = {
  hello: t.type({ kind: t.literal('hello'), version: t.number, node: t.string }),
  /** What the node has: `slots` is its number of cores. */
  welcome: t.type({
    kind: t.literal('welcome'),
    version: t.number,
    slots: t.number,
    pid: t.number,
  }),
  /** The body holds `{ props }`, and `kept` where there is such state. */
  start: t.type({
    kind: t.literal('start'),
    ...ofLife,
    /** The actor's life before, if that was on this node: its thread may be there still. */
    previous: t.union([t.number, t.null]),
    name: t.string,
    restarts: t.number,
    protocolName: t.string,
    /** As `addressOfModule` gives it. */
    module: t.string,
    create: t.string,
    devices: t.array(t.string),
    heapLimitMb: t.union([t.number, t.null]),
  }),
  /** The life has a thread, and later orders find it. */
  started: t.type({ kind: t.literal('started'), ...ofLife }),
  /** The body's bytes are the header of a packet for the actor, which need not wait behind messages. */
  urgent: t.type({ kind: t.literal('urgent'), ...ofLife }),
  terminate: t.type({ kind: t.literal('terminate'), ...ofLife }),
  /** No life follows on the thread of this one. */
  retire: t.type({ kind: t.literal('retire'), ...ofLife }),
  /** Nothing of the life runs any more; its channel is closed once everything it sent is through. */
  ended: t.type({ kind: t.literal('ended'), ...ofLife, error: WireErrorForm }),
  /** An event of the node itself; fields are in the body. */
  log: t.intersection([t.type({ kind: t.literal('log') }), Logged]),
};

type Kind = keyof typeof orders;
export type OrderOf<K extends Kind> = t.TypeOf<(typeof orders)[K]>;
export type Order = { [K in Kind]: OrderOf<K> }[Kind];

const Kinded = t.type({ kind: t.keyof(orders) });

/** Sends one order; false when the channel is closed. */
export function postOrder(channel: Channel, order: Order, body: Body = emptyBody): boolean {
  return channel.send(join(encodeValue(order), body));
}

/** Order and body of a packet, the body not yet decoded; WIRE_INVALID for anything else. */
export function openOrder(
  packet: Packet,
): E.Either<CxmindError, { readonly order: Order; readonly body: Body }> {
  const parts = split(packet);
  if (E.isLeft(parts)) return parts;
  const value = decodeValue(parts.right.envelope);
  if (E.isLeft(value)) return value;
  const kinded = Kinded.decode(value.right);
  const order = E.isRight(kinded) ? orders[kinded.right.kind].decode(value.right) : kinded;
  if (E.isLeft(order)) {
    return E.left(new CxmindError('WIRE_INVALID', 'an order that no node knows'));
  }
  return E.right({ order: order.right, body: parts.right.body });
}
