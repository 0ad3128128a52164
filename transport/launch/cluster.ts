/** Processes that a launch has brought together, and the names that they have on their links. */
import { CxmindError } from '../../src/errors.ts';
import type { Link } from '../link.ts';

/** Identity of a process of a launch. */
export interface Identity {
  /** Name of the host in the hostfile, for the scheduler or for the operating system. */
  readonly host: string;
  /** Number of the process in the launch. */
  readonly rank: number;
  /** Number of actors that it is to host. */
  readonly slots: number;
}

/** Process on some host that joined this one and has room for actors. */
export interface ClusterNode extends Identity {
  /** Name that is unique in the cluster and has no `@`: the host, or `host.1` for its second process. */
  readonly name: string;
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

/** Name of a process on its link, by which the leading one knows it: `1 4 node02`. */
export function nameOf({ host, rank, slots }: Identity): string {
  return `${rank} ${slots} ${host}`;
}

/** Identity of the process with that name; undefined for a name that is none of a launch. */
export function identityOf(name: string): Identity | undefined {
  const [, rank, slots, host] = /^(\d{1,9}) (\d{1,9}) ([^\s@]{1,200})$/.exec(name) ?? [];
  return host === undefined ? undefined : { host, rank: Number(rank), slots: Number(slots) };
}

/** The error of a process that was lost. */
export function lossOf({ host, rank }: Identity, cause: CxmindError): CxmindError {
  const message = `${host} (rank ${rank}) is lost: ${cause.message}`;
  return new CxmindError('PEER_LOST', message, { detail: { host, rank }, cause });
}
