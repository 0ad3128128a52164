import type { Device } from '../../src/device/device.ts';

/** The time that a node of a graph took on the card. */
interface NodeTime {
  readonly name: string;
  /** Start, after that of the first node. */
  readonly startMs: number;
  readonly durationMs: number;
}

/** Times the nodes that are kernels or library calls, and that `work` queues on a card. */
export async function nodeTimes(
  device: Device,
  work: () => Promise<void> | void,
): Promise<NodeTime[]> {
  const profile = device.profile();
  await work();
  const nodes = (await profile.end()).filter(({ lane }) => lane.endsWith(' kernels'));
  return nodes.map(({ name, startUs, durationUs }) => ({
    name,
    startMs: (startUs - nodes[0]!.startUs) / 1000,
    durationMs: durationUs / 1000,
  }));
}
