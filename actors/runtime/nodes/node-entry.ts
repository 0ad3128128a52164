/**
 * The program of a child process that hosts actors until the link to its parent ends. The first line of its stdin is its
 * order. Its stdin stays open as long as the parent lives.
 */
import * as t from 'io-ts';
import { parsedJson } from '../../../src/check/json.ts';
import { CxmindError, messageOf } from '../../../src/errors.ts';
import { firstLine } from '../../../transport/launch/order.ts';
import { connectLink } from '../../../transport/zmq/connect.ts';
import { RunTicket } from '../../../transport/zmq/keys.ts';
import { Heartbeat } from '../../../transport/zmq/liveness.ts';
import { NodeHost } from './node.ts';

const ChildOrder = t.type({ name: t.string, ticket: RunTicket, heartbeat: Heartbeat });

/** Order to a child process that is to host actors. It holds a secret, so it goes over stdin. */
export interface ChildOrder extends t.TypeOf<typeof ChildOrder> {}

// A scheduler warns every process of a job with this signal. The parent decides what is saved then.
process.on('SIGUSR1', () => undefined);
process.on('uncaughtException', (thrown) => {
  process.stderr.write(`${messageOf(thrown)}\n`);
  process.exit(1);
});
// An exit would wait for threads that are in the middle of native code.
process.stdin.once('end', () => process.kill(process.pid, 'SIGKILL'));
const order = parsedJson(await firstLine(process.stdin));
// The text is not repeated, since it may hold keys.
if (!ChildOrder.is(order)) {
  throw new CxmindError('CONFIG_INVALID', 'node: not the JSON of a node order');
}
const { name, ticket, heartbeat } = order;
const link = await connectLink({ endpoint: ticket.endpoint, keys: ticket, name, heartbeat });
const error = await new NodeHost(link).ended;
if (error !== undefined) throw error;
process.exit(0);
