import type { Link } from '../../transport/link.ts';
import { exitCodeOfSignal } from './interrupt.ts';

/** How long a node may take to end after whoever started it is gone. */
const graceMs = 3_000;

/** A second signal within this time is an echo of the first, as launchers pass them on. */
const echoMs = 500;

/** What schedulers, and terminals by way of them, send to every process of a job. */
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2'] as const;

/**
 * Hosts actors for the run at the other end of a link until that ends.
 *
 * A signal goes to every process of a job; the one that leads the run then saves a checkpoint, for which it needs this
 * one, and ends the link. So only the second SIGINT, SIGTERM, SIGHUP or SIGUSR2 ends this process.
 *
 * @throws PEER_LOST when it did not end in order
 */
export async function serveNode(link: Link): Promise<void> {
  const { NodeHost } = await import('../../actors/runtime/node.ts');
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

/** Ends this process with certainty: threads may be in the middle of native code, which nothing interrupts. */
export function endSoon(): void {
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), graceMs).unref();
}
