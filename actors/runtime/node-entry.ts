import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { messageOf } from '../../src/errors.ts';
import { parseNodeOrder, runNode } from './run-node.ts';

/*
 * A process that hosts actors for the one that started it. Its order is the first line of its stdin, which stays
 * open as long as that one lives. At its end this process ends whatever its actors do: an exit would wait for
 * threads that are in the middle of native code.
 */
// Schedulers warn every process of a delivery with it; what is to be saved then is the starter's business.
process.on('SIGUSR1', () => undefined);
process.on('uncaughtException', (thrown) => {
  process.stderr.write(`${messageOf(thrown)}\n`);
  process.exit(1);
});
const lines = createInterface({ input: process.stdin });
lines.once('close', () => process.kill(process.pid, 'SIGKILL'));
const [order] = (await once(lines, 'line')) as [string];
await runNode(parseNodeOrder(order));
process.exit(0);
