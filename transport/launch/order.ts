/**
 * The order that a node gets in the first line of its stdin: where it joins the run, as which rank, and with which keys.
 */
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { parsedJson } from '../../src/check/json.ts';
import { CxmindError } from '../../src/errors.ts';
import type { Link } from '../link.ts';
import { connectLink } from '../zmq/connect.ts';
import { RunTicket } from '../zmq/keys.ts';
import { Heartbeat } from '../zmq/liveness.ts';
import { bracketed } from './addresses.ts';
import { nameOf } from './cluster.ts';

/** Version of the form below. All processes of a launch must have the same. */
const version = 2;
/** Longest wait for the order of the process that started this one. */
const orderTimeoutMs = 60_000;

/** Order to a process that is started as a node. It holds the keys of the run. */
export const NodeOrder = t.strict({
  version: t.literal(version),
  host: t.string,
  rank: t.number,
  slots: t.number,
  /** Folder at which relative paths of the run begin. */
  workingDirectory: t.string,
  /** Ticket of the run. The host `*` in its endpoint stands for the address that the ssh connection comes from. */
  ticket: RunTicket,
  joinTimeoutMs: t.number,
  heartbeat: Heartbeat,
});
export interface NodeOrder extends t.TypeOf<typeof NodeOrder> {}

/** Line of text that hands an order over. */
export function orderLine(order: Omit<NodeOrder, 'version'>): string {
  return `${JSON.stringify(NodeOrder.encode({ version, ...order }))}\n`;
}

/**
 * Reads the order in the first line of a stream.
 *
 * @throws CONFIG_INVALID when there is none. The message repeats nothing of the line, which may hold keys
 */
export async function readOrder(input: Readable): Promise<NodeOrder> {
  const order = NodeOrder.decode(parsedJson(await firstLine(input)));
  if (E.isRight(order)) return order.right;
  throw new CxmindError(
    'CONFIG_INVALID',
    'node: expected an order on stdin, as `cxmind launch` of the same version writes it',
  );
}

/** Reads the first line of a stream, whose end can be waited for afterwards; empty when none comes within a minute. */
export async function firstLine(input: Readable): Promise<string> {
  const lines = createInterface({ input, crlfDelay: Infinity });
  const { promise, resolve } = Promise.withResolvers<string>();
  lines.once('line', resolve).once('close', () => resolve(''));
  const timer = setTimeout(() => resolve(''), orderTimeoutMs);
  const line = await promise;
  clearTimeout(timer);
  lines.close();
  // Closing the lines paused the stream, whose end is still to be seen.
  input.resume();
  return line;
}

/**
 * Joins the run of an order.
 *
 * @param sshConnection the environment's SSH_CONNECTION
 * @throws PEER_LOST when nobody answers
 */
export function join(order: NodeOrder, sshConnection: string | undefined): Promise<Link> {
  const { ticket, joinTimeoutMs, heartbeat } = order;
  const endpoint = ticket.endpoint.replace('*', () =>
    bracketed(sshConnection?.split(' ')[0] ?? ''),
  );
  const name = nameOf(order);
  return connectLink({ endpoint, keys: ticket, name, heartbeat, timeoutMs: joinTimeoutMs });
}
