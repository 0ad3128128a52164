import { text } from 'node:stream/consumers';
import { NodeHost } from '../../actors/runtime/nodes/node.ts';
import { connectLink } from '../../transport/zmq/connect.ts';
import type { RunTicket } from '../../transport/zmq/keys.ts';

/** A process that hosts actors for the run whose ticket is on its standard input, as long as that lasts. */
const { endpoint, ...keys } = JSON.parse(await text(process.stdin)) as RunTicket;
await new NodeHost(await connectLink({ endpoint, keys, name: `node/${process.pid}` })).ended;
