import { hostname } from 'node:os';
import { CxmindError } from '../../src/errors.ts';
import type { Link } from '../link.ts';
import { connectLink } from '../zmq/connect.ts';
import { makeRunKeys, ticketFor, type RunKeys } from '../zmq/keys.ts';
import type { Heartbeat } from '../zmq/liveness.ts';
import { anyAddress, bracketed, reachableAddresses } from './addresses.ts';
import { lossOf, nameOf, type Cluster } from './cluster.ts';
import { Rendezvous, type Invitation } from './rendezvous.ts';
import { RollCall } from './roll-call.ts';
import type { Task } from './scheduler.ts';

/** Longest wait for an answer at one of several addresses. */
const addressTimeoutMs = 3_000;

/** Options of a launch whose processes a scheduler has started. */
export interface TaskLaunchOptions {
  readonly task: Task;
  /** Number of actors that this process hosts. */
  readonly slots: number;
  /** Folder that all processes see, for the rendezvous. */
  readonly folder: string;
  /** Keys that all processes were given. They need `headAddress` and `port` then, and no folder. */
  readonly keys: RunKeys | undefined;
  /** Address by which others reach rank 0; undefined for any that answers. */
  readonly headAddress: string | undefined;
  /** First of two ports that rank 0 listens at; undefined for any that are free. */
  readonly port: number | undefined;
  readonly joinTimeoutMs: number;
  readonly heartbeat: Heartbeat;
  /** True if the loss of a node is left to the user of the cluster. */
  readonly toleratesLoss: boolean;
}

/**
 * Gathers a job on its rank 0: invites the other processes and waits until all have joined.
 *
 * @throws PEER_LOST when some do not join in time; CONFIG_INVALID when the folder cannot be written to; the signal's
 *   reason when that is aborted first
 */
export async function gatherTasks(
  options: TaskLaunchOptions,
  signal: AbortSignal,
): Promise<Cluster> {
  const { task, slots, port, heartbeat, joinTimeoutMs } = options;
  const keys = options.keys ?? makeRunKeys();
  const rollCall = await RollCall.open({
    address: `tcp://${anyAddress()}:${port === undefined ? '*' : `${port},${port + 1}`}`,
    keys,
    heartbeat,
    ranks: Array.from({ length: task.size - 1 }, (_, i) => i + 1),
  });
  const failure = new AbortController();
  rollCall.onLeave((node, error) => {
    if (error !== undefined && !options.toleratesLoss) failure.abort(lossOf(node, error));
  });
  const end = (): Promise<void> => rollCall[Symbol.asyncDispose]();
  const rendezvous = new Rendezvous(options.folder, task.job);
  try {
    if (options.keys === undefined) {
      await rendezvous.invite(await invitationTo(options, rollCall, keys));
    }
    const nodes = await rollCall.all(signal, joinTimeoutMs, () => late(rollCall, options));
    return { nodes, slots, signal: failure.signal, [Symbol.asyncDispose]: end };
  } catch (error) {
    await end();
    throw error;
  } finally {
    await rendezvous.close();
  }
}

/**
 * Joins a job on another rank: finds the invitation of rank 0, or makes one of the keys, and connects.
 *
 * @throws PEER_LOST when there is no invitation in time, or nobody answers to it
 */
export async function joinTask(options: TaskLaunchOptions): Promise<Link> {
  const { task, folder, joinTimeoutMs } = options;
  const deadline = performance.now() + joinTimeoutMs;
  const rendezvous = new Rendezvous(folder, task.job);
  let found: Invitation | undefined;
  do {
    found = invitationBy(options) ?? (await rendezvous.find(deadline));
    const link = found && (await answerTo(found, options, deadline));
    if (link !== undefined) return link;
    // The invitation may be left from an earlier run, and the right one still to come.
  } while (performance.now() < deadline);
  throw new CxmindError('PEER_LOST', missed(found, options), { detail: { rank: task.rank } });
}

async function invitationTo(
  { headAddress }: TaskLaunchOptions,
  rollCall: RollCall,
  keys: RunKeys,
): Promise<Invitation> {
  const addresses = headAddress === undefined ? await reachableAddresses() : [headAddress];
  return {
    ticket: ticketFor(`tcp://*:${rollCall.ports}`, keys),
    addresses: addresses.length === 0 ? [hostname()] : addresses,
  };
}

/** Makes the invitation of keys that all processes have; undefined without keys. */
function invitationBy({ keys, headAddress, port }: TaskLaunchOptions): Invitation | undefined {
  if (keys === undefined) return undefined;
  if (headAddress === undefined || port === undefined) {
    const message = 'launch: --keys says nothing of where rank 0 is: add --head-address and --port';
    throw new CxmindError('CONFIG_INVALID', message);
  }
  return { ticket: ticketFor(`tcp://*:${port},${port + 1}`, keys), addresses: [headAddress] };
}

async function answerTo(
  { ticket, addresses }: Invitation,
  { task, slots, heartbeat }: TaskLaunchOptions,
  deadline: number,
): Promise<Link | undefined> {
  for (const address of addresses) {
    const timeoutMs = Math.min(addressTimeoutMs, Math.max(1, deadline - performance.now()));
    try {
      return await connectLink({
        endpoint: ticket.endpoint.replace('*', bracketed(address)),
        keys: ticket,
        name: nameOf({ ...task, slots }),
        heartbeat,
        timeoutMs,
      });
    } catch (error) {
      if (!(error instanceof CxmindError && error.code === 'PEER_LOST')) throw error;
    }
  }
  return undefined;
}

function missed(
  found: Invitation | undefined,
  { task, folder, joinTimeoutMs }: TaskLaunchOptions,
): string {
  const head = task.headHost === undefined ? 'rank 0' : `rank 0 on ${task.headHost}`;
  const within = `within ${joinTimeoutMs / 1000} s`;
  if (found === undefined) {
    return (
      `rank ${task.rank}: no word of ${head} in ${folder} ${within}; if hosts do not share that folder, name one ` +
      'that they do with --rendezvous, and if it just takes long, raise --join-timeout'
    );
  }
  const tried = found.addresses.join(', ');
  return (
    `rank ${task.rank}: ${head} does not answer at ${tried} ${within}; if another address leads there, give it with ` +
    '--head-address, and if only some ports are open, one with --port'
  );
}

function late(rollCall: RollCall, { task, folder, joinTimeoutMs }: TaskLaunchOptions): CxmindError {
  const { missing } = rollCall;
  return new CxmindError(
    'PEER_LOST',
    `rank ${missing.join(', ')} of ${task.size} did not join within ${joinTimeoutMs / 1000} s: all processes must see ` +
      `${folder} (--rendezvous) and reach this host (--head-address, --port)`,
    { detail: { ranks: missing } },
  );
}
