import type { Link } from '../link.ts';

/** A process on some host that joined this one, and has room for actors. */
export interface ClusterNode {
  /** Unique in the cluster, without `@`: the host, and with several processes on it `host.1`. */
  readonly name: string;
  /** As the hostfile, the scheduler or the operating system calls it. */
  readonly host: string;
  /** The number of the process in the launch. */
  readonly rank: number;
  /** How many actors it was given to host. */
  readonly slots: number;
  readonly link: Link;
}

/** The processes that a launch brought together, as the one that leads them has them. */
export interface Cluster extends AsyncDisposable {
  /** By rank; the leading process is not among them. */
  readonly nodes: readonly ClusterNode[];
  /** How many actors the leading process was given to host itself. */
  readonly slots: number;
  /** Aborted, with a CxmindError that says which node and why, once one of them failed. */
  readonly signal: AbortSignal;
}

/** Brings the processes of a launch together; aborting `signal` gives that up. */
export type Gather = (signal: AbortSignal) => Promise<Cluster>;
