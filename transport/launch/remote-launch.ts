import { setTimeout as delay } from 'node:timers/promises';
import { CxmindError } from '../../src/errors.ts';
import { makeRunKeys, ticketFor, type RunKeys } from '../zmq/keys.ts';
import type { Heartbeat } from '../zmq/liveness.ts';
import { lossOf, type Cluster, type ClusterNode, type Identity } from './cluster.ts';
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
  const launch = await RemoteLaunch.start(options);
  try {
    await launch.join(signal);
    return launch;
  } catch (error) {
    await launch[Symbol.asyncDispose]();
    throw error;
  }
}

interface Started {
  readonly host: string;
  readonly rank: number;
  readonly process: NodeProcess;
}

class RemoteLaunch implements Cluster {
  nodes: readonly ClusterNode[] = [];
  readonly slots: number;
  readonly #failure = new AbortController();
  readonly #options: RemoteLaunchOptions;
  readonly #rollCall: RollCall;
  #started: readonly Started[] = [];
  #isEnding = false;

  private constructor(options: RemoteLaunchOptions, rollCall: RollCall) {
    this.#options = options;
    this.#rollCall = rollCall;
    this.slots = options.headSlots;
    rollCall.onLeave((node, error) => void this.#onLeave(node, error));
  }

  static async start(options: RemoteLaunchOptions): Promise<RemoteLaunch> {
    const { shares, heartbeat, port } = options;
    const keys = makeRunKeys();
    const areHere = await Promise.all(shares.map(({ host }) => isHere(host)));
    const isPrivate = areHere.every(Boolean) && options.headAddress === undefined;
    const ports = port === undefined ? '*' : `${port},${port + 1}`;
    const rollCall = await RollCall.open({
      address: `tcp://${isPrivate ? '127.0.0.1' : anyAddress()}:${ports}`,
      keys,
      ranks: shares.map((_, rank) => rank),
      heartbeat,
    });
    const launch = new RemoteLaunch(options, rollCall);
    launch.#started = shares.map((share, rank) =>
      launch.#startNode(share, rank, areHere[rank]!, keys),
    );
    return launch;
  }

  #startNode(share: Share, rank: number, isLocal: boolean, keys: RunKeys): Started {
    const { localCommand, remoteCommand, sshOptions, output } = this.#options;
    const { headAddress, joinTimeoutMs, heartbeat } = this.#options;
    const { host } = share.host;
    const address = isLocal ? '127.0.0.1' : (headAddress ?? '*');
    const order = orderLine({
      host,
      rank,
      slots: share.count,
      workingDirectory: process.cwd(),
      ticket: ticketFor(`tcp://${bracketed(address)}:${this.#rollCall.ports}`, keys),
      // The node gives up before this process does, since it can say more about the reason.
      joinTimeoutMs: joinTimeoutMs / 2,
      heartbeat,
    });
    const command = isLocal ? localCommand : sshCommand(share.host, remoteCommand, sshOptions);
    const node = new NodeProcess({ command, order, prefix: `[${host} ${rank}] `, output });
    void node.ended.then((end) => this.#onExit(host, rank, end));
    return { host, rank, process: node };
  }

  get signal(): AbortSignal {
    return this.#failure.signal;
  }

  /** Waits for every node. @throws the errors of `launchNodes` */
  async join(signal: AbortSignal): Promise<void> {
    const either = AbortSignal.any([signal, this.signal]);
    this.nodes = await this.#rollCall.all(either, this.#options.joinTimeoutMs, () => this.#late());
  }

  /** Notes that a link ended. If the process ended too, its exit says more, and is waited for. */
  async #onLeave(node: Identity, error: CxmindError | undefined): Promise<void> {
    if (error === undefined || this.#isEnding) return;
    const late = delay(exitCodeMs, undefined, { ref: false });
    await Promise.race([this.#started[node.rank]!.process.ended, late]);
    this.#lose(lossOf(node, error));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isEnding = true;
    await Promise.all([
      this.#rollCall[Symbol.asyncDispose](),
      ...this.#started.map(({ process }) => process.stop(graceMs)),
    ]);
  }

  #onExit(host: string, rank: number, { code, lines }: ProcessEnd): void {
    const hasJoined = !this.#rollCall.missing.includes(rank);
    if (code === 0 && hasJoined) return;
    const said = lines.length === 0 ? ', without a word' : `; its last lines:\n${indented(lines)}`;
    const message = `${host} (rank ${rank}) ended with exit code ${code}${said}`;
    const detail = { host, rank, exitCode: code };
    const error = new CxmindError('PEER_LOST', message, { detail });
    this.#lose(error, hasJoined);
    this.#rollCall.lose(rank, error);
  }

  #lose(error: CxmindError, hasJoined = true): void {
    if (this.#isEnding || (hasJoined && this.#options.toleratesLoss)) return;
    this.#failure.abort(error);
  }

  #late(): CxmindError {
    const missing = this.#rollCall.missing.map((rank) => {
      return `${this.#started[rank]!.host} (rank ${rank})`;
    });
    return new CxmindError(
      'PEER_LOST',
      `${missing.join(', ')}: did not join within ${this.#options.joinTimeoutMs / 1000} s; if this host has another ` +
        'address for them, give it with --head-address, and if only some ports are open, with --port',
      { detail: { ranks: this.#rollCall.missing } },
    );
  }
}

function indented(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join('\n');
}
