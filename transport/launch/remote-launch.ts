import { setTimeout as delay } from 'node:timers/promises';
import { CxmindError } from '../../src/errors.ts';
import { makeRunKeys, ticketFor, type RunTicket } from '../zmq/keys.ts';
import type { Heartbeat } from '../zmq/liveness.ts';
import { lossOf, type Cluster } from './cluster.ts';
import type { Share } from './mapping.ts';
import { anyAddress, bracketed } from './addresses.ts';
import { NodeProcess, type Output, type ProcessEnd } from './node-process.ts';
import { orderLine } from './order.ts';
import { RollCall } from './roll-call.ts';
import { isHere, sshCommand } from './ssh.ts';

/** Time that nodes have to end by themselves. */
const graceMs = 5_000;
/** Longest wait for the exit code of a node whose link broke. */
const exitCodeMs = 1_000;

/** Options of a launch that starts its nodes itself. */
export interface RemoteLaunchOptions {
  /** Share of each host. The node there has as many slots as the share has ranks. */
  readonly shares: readonly Share[];
  /** Command that starts a node on this host: program and arguments. */
  readonly localCommand: readonly string[];
  /** Command that starts a node on another host, for the user's shell there. */
  readonly remoteCommand: string;
  readonly sshOptions: readonly string[];
  /** Address by which nodes reach this process; undefined for the one that their ssh connection comes from. */
  readonly headAddress: string | undefined;
  /** First of two ports to listen at; undefined for any that are free. */
  readonly port: number | undefined;
  /** Number of actors that this process hosts. */
  readonly headSlots: number;
  readonly joinTimeoutMs: number;
  readonly heartbeat: Heartbeat;
  /** True if the loss of a node is left to the user of the cluster. */
  readonly toleratesLoss: boolean;
  readonly output: Output;
}

/**
 * Starts a node on each host, over ssh on other hosts, and waits until all have joined.
 *
 * When a node fails, so does the cluster. Disposing of the cluster ends all nodes. They end by themselves when this
 * process is gone, for whatever reason.
 *
 * @throws PEER_LOST when a node cannot be started or does not join, with its exit code as `detail.exitCode` and its last
 *   lines; the signal's reason when that is aborted first
 */
export async function launchNodes(
  options: RemoteLaunchOptions,
  signal: AbortSignal,
): Promise<Cluster> {
  signal.throwIfAborted();
  const { shares, headAddress, headSlots, port, heartbeat, joinTimeoutMs } = options;
  const keys = makeRunKeys();
  const areHere = await Promise.all(shares.map(({ host }) => isHere(host)));
  const isPrivate = areHere.every(Boolean) && headAddress === undefined;
  const ports = port === undefined ? '*' : `${port},${port + 1}`;
  const rollCall = await RollCall.open({
    address: `tcp://${isPrivate ? '127.0.0.1' : anyAddress()}:${ports}`,
    keys,
    ranks: shares.map((_, rank) => rank),
    heartbeat,
  });
  const failure = new AbortController();
  let isEnding = false;
  const lose = (error: CxmindError, hasJoined = true): void => {
    if (!isEnding && !(hasJoined && options.toleratesLoss)) failure.abort(error);
  };
  const processes = shares.map((share, rank) => {
    const isLocal = areHere[rank]!;
    const address = isLocal ? '127.0.0.1' : (headAddress ?? '*');
    const ticket = ticketFor(`tcp://${bracketed(address)}:${rollCall.ports}`, keys);
    return startNode(options, share, rank, isLocal, ticket);
  });
  for (const [rank, { ended }] of processes.entries()) {
    void ended.then((end) => {
      const hasJoined = !rollCall.missing.includes(rank);
      if (end.code === 0 && hasJoined) return;
      const error = exitError(shares[rank]!.host.host, rank, end);
      lose(error, hasJoined);
      rollCall.lose(rank, error);
    });
  }
  rollCall.onLeave((node, error) => {
    if (error === undefined || isEnding) return;
    // If the process ended too, its exit says more, and is waited for.
    const tooLate = delay(exitCodeMs, undefined, { ref: false });
    const exit = Promise.race([processes[node.rank]!.ended, tooLate]);
    void exit.then(() => lose(lossOf(node, error)));
  });
  const end = async (): Promise<void> => {
    isEnding = true;
    await Promise.all([
      rollCall[Symbol.asyncDispose](),
      ...processes.map((process) => process.stop(graceMs)),
    ]);
  };
  try {
    const either = AbortSignal.any([signal, failure.signal]);
    const nodes = await rollCall.all(either, joinTimeoutMs, () => late(rollCall, options));
    return { nodes, slots: headSlots, signal: failure.signal, [Symbol.asyncDispose]: end };
  } catch (error) {
    await end();
    throw error;
  }
}

function startNode(
  options: RemoteLaunchOptions,
  share: Share,
  rank: number,
  isLocal: boolean,
  ticket: RunTicket,
): NodeProcess {
  const { localCommand, remoteCommand, sshOptions, joinTimeoutMs, heartbeat, output } = options;
  const { host } = share.host;
  const order = orderLine({
    ...{ host, rank, slots: share.count, ticket, heartbeat },
    workingDirectory: process.cwd(),
    // The node gives up before this process does, since it can say more about the reason.
    joinTimeoutMs: joinTimeoutMs / 2,
  });
  const command = isLocal ? localCommand : sshCommand(share.host, remoteCommand, sshOptions);
  return new NodeProcess({ command, order, prefix: `[${host} ${rank}] `, output });
}

function exitError(host: string, rank: number, { code, lines }: ProcessEnd): CxmindError {
  const said = lines.length === 0 ? ', without a word' : `; its last lines:\n${indented(lines)}`;
  const message = `${host} (rank ${rank}) ended with exit code ${code}${said}`;
  return new CxmindError('PEER_LOST', message, { detail: { host, rank, exitCode: code } });
}

function late({ missing }: RollCall, { shares, joinTimeoutMs }: RemoteLaunchOptions): CxmindError {
  const names = missing.map((rank) => `${shares[rank]!.host.host} (rank ${rank})`);
  return new CxmindError(
    'PEER_LOST',
    `${names.join(', ')}: did not join within ${joinTimeoutMs / 1000} s; if this host has another ` +
      'address for them, give it with --head-address, and if only some ports are open, with --port',
    { detail: { ranks: missing } },
  );
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join('\n');
}
