import { text } from 'node:stream/consumers';
import { NodeHost } from '../../actors/runtime/node.ts';
import { connectLink } from '../../transport/zmq/connect.ts';
import { parseTicket } from '../../transport/zmq/keys.ts';

/** A process that hosts actors for the run whose ticket is on its standard input, as long as that lasts. */
const ticket = parseTicket(await text(process.stdin));
if (ticket._tag === 'Left') throw ticket.left;
const { endpoint, ...keys } = ticket.right;
await new NodeHost(await connectLink({ endpoint, keys, name: `node/${process.pid}` })).ended;
