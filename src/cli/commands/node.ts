import { join, readOrder } from '../../../transport/launch/order.ts';
import type { Link } from '../../../transport/link.ts';
import { CxmindCommand } from '../command.ts';
import { echoMs, exitCodeOfSignal } from '../interrupt.ts';

export class Node extends CxmindCommand {
  static override summary = 'Host actors for a run on another host; started by launch.';
  static override description =
    'Reads from stdin what run to join and the keys for it, as launch writes them over ssh, and ends when its ' +
    'stdin or its connection to the run does.';

  async run(): Promise<void> {
    await this.parse(Node);
    const { stdin } = process;
    const abandoned = new Promise((resolve) => stdin.once('end', resolve).once('close', resolve));
    void abandoned.then(endSoon);
    try {
      const order = await readOrder(stdin);
      process.chdir(order.workingDirectory);
      await using link = await join(order, process.env['SSH_CONNECTION']);
      void abandoned.then(() => link[Symbol.asyncDispose]());
      await serveNode(link);
    } finally {
      stdin.destroy();
    }
  }
}

/** Time that a node may take to end after the process that started it is gone. */
const graceMs = 3_000;

/** Signals that schedulers and terminals send to every process of a job. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;

/**
 * Hosts actors for the run at the other end of a link until the run ends.
 *
 * A signal goes to every process of a job. The leader then saves a checkpoint, for which it needs this process, and ends
 * the link. So only the second SIGINT, SIGTERM, SIGHUP or SIGUSR2 ends this process.
 *
 * @throws PEER_LOST when the run did not end in order
 */
export async function serveNode(link: Link): Promise<void> {
  const { NodeHost } = await import('../../../actors/runtime/nodes/node.ts');
  let first: number | undefined;
  const onSignal = (signal: NodeJS.Signals): void => {
    if (signal === 'SIGUSR1') return;
    if (first === undefined) first = Date.now();
    else if (Date.now() - first > echoMs) process.exit(exitCodeOfSignal(signal));
  };
  for (const signal of signals) process.on(signal, onSignal);
  try {
    const error = await new NodeHost(link).ended;
    if (error !== undefined) throw error;
  } finally {
    for (const signal of signals) process.off(signal, onSignal);
  }
}

/** Kills this process after a while, since threads may be in native code, which nothing else interrupts. */
function endSoon(): void {
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), graceMs).unref();
}
