import type { Link } from '../../transport/link.ts';

/** How long a node may take to end after whoever started it is gone. */
const graceMs = 3_000;

/**
 * Hosts actors for the run at the other end of a link until that ends.
 *
 * @throws PEER_LOST when it did not end in order
 */
export async function serveNode(link: Link): Promise<void> {
  const { NodeHost } = await import('../../actors/runtime/node.ts');
  const error = await new NodeHost(link).ended;
  if (error !== undefined) throw error;
}

/** Ends this process with certainty: threads may be in the middle of native code, which nothing interrupts. */
export function endSoon(): void {
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), graceMs).unref();
}
