import * as E from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { CxmindError } from '../../src/errors.ts';
import { connectLink } from '../../transport/zmq/connect.ts';
import { RunTicket } from '../../transport/zmq/keys.ts';
import { NodeHost } from './node.ts';

/** What a process needs to become a node of a run. It holds a secret: hand it over stdin. */
export const NodeOrder = t.type({
  name: t.string,
  ticket: RunTicket,
  heartbeat: t.type({ intervalMs: t.number, deadAfterMs: t.number }),
});
export interface NodeOrder extends t.TypeOf<typeof NodeOrder> {}

/** The order in a JSON text. @throws CONFIG_INVALID, which does not repeat what the text says */
export function parseNodeOrder(text: string): NodeOrder {
  const value = E.tryCatch(() => JSON.parse(text) as unknown, E.toError);
  const order = E.isRight(value) ? NodeOrder.decode(value.right) : value;
  if (E.isRight(order)) return order.right;
  throw new CxmindError('CONFIG_INVALID', 'node: not the JSON of a node order');
}

/**
 * Hosts actors for a run until that ends.
 *
 * @throws PEER_LOST when the run does not answer, or did not end in order
 */
export async function runNode({ name, ticket, heartbeat }: NodeOrder): Promise<void> {
  const { endpoint, ...keys } = ticket;
  const link = await connectLink({ endpoint, keys, name, heartbeat });
  const error = await new NodeHost(link).ended;
  if (error !== undefined) throw error;
}
