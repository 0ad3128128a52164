import { text } from 'node:stream/consumers';
import { connectLink } from '../../transport/zmq/connect.ts';
import type { RunTicket } from '../../transport/zmq/keys.ts';
import { echo } from '../conformance/channel.ts';

/** A process that joins by the ticket on its standard input and answers every channel with an echo. */
const { endpoint, ...keys } = JSON.parse(await text(process.stdin)) as RunTicket;
const link = await connectLink({ endpoint, keys, name: `echo/${process.pid}` });
link.onChannel(echo);
const error = await link.ended;
if (error !== undefined) throw error;
