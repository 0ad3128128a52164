import type { Link } from '../link.ts';

/** Process on some host that joined this one and has room for actors. */
export interface ClusterNode {
  /** Name that is unique in the cluster and has no `@`: the host, or `host.1` for its second process. */
  readonly name: string;
  /** Name of the host in the hostfile, for the scheduler or for the operating system. */
  readonly host: string;
  /** Number of the process in the launch. */
  readonly rank: number;
  /** Number of actors that it is to host. */
  readonly slots: number;
  readonly link: Link;
}

/** Processes that a launch brought together, for the one that leads them. */
export interface Cluster extends AsyncDisposable {
  /** Nodes in the order of ranks, without the leading process. */
  readonly nodes: readonly ClusterNode[];
  /** Number of actors that the leading process is to host. */
  readonly slots: number;
  /** Signal that is aborted once a node has failed, with a CxmindError that names the node and the reason. */
  readonly signal: AbortSignal;
}

/** Brings the processes of a launch together. Aborting `signal` gives that up. */
export type Gather = (signal: AbortSignal) => Promise<Cluster>;
