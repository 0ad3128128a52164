import type { Link } from '../link.ts';

/** A process on some host that joined this one, and has room for actors. */
export interface ClusterNode {
  /** Unique in the cluster, without `@`: the host, and with several processes on it `host.1`. */
  readonly name: string;
  /** As the hostfile, the scheduler or the operating system calls it. */
  readonly host: string;
  /** The number of the process in the launch, from 0. */
  readonly rank: number;
  /** How many actors it was given to host. */
  readonly slots: number;
  readonly link: Link;
}

/** The processes that a launch brought together, as the one that leads them has them. */
export interface Cluster {
  /** By rank. */
  readonly nodes: readonly ClusterNode[];
  /** Aborted, with a CxmindError that says which node and why, once one of them failed. */
  readonly signal: AbortSignal;
}
