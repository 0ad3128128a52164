/**
 * Groups of processes: a rank listens, the ranks exchange their addresses, and each joins with the engine that fits
 * the places of all.
 */
import { statSync } from 'node:fs';
import { userInfo } from 'node:os';
import { CudaDevice } from '../../src/device/cuda/device.ts';
import type { Device } from '../../src/device/device.ts';
import { attempt } from '../../src/errors.ts';
import { bootId, pidNamespace } from '../../src/host-identity.ts';
import { LinkListener } from '../zmq/listener.ts';
import { Communicator } from './communicator.ts';
import { HierarchicalEngine } from './hierarchical.ts';
import { hostGroup, joinHostGroup } from './host.ts';
import { hasHostMemory, unlinkHostMemory } from './native/host-memory.ts';
import { NcclLibrary } from './native/nccl-library.ts';
import { NcclGroup } from './nccl.ts';
import { joinMesh, type NetworkOptions } from './network.ts';
import { RingEngine } from './ring.ts';

/** Address of a rank for the others, before they form a group. */
export interface RankAddress {
  readonly endpoint: string;
  /** Name that is equal for ranks that can share memory; empty where there is none to share. */
  readonly host: string;
}

/** Listener of a rank that is to join a group. The ranks exchange their addresses by messages of their own. */
export class RankListener implements AsyncDisposable {
  readonly address: RankAddress;
  readonly #listener: LinkListener;
  readonly #options: NetworkOptions;

  private constructor(listener: LinkListener, options: NetworkOptions) {
    this.#listener = listener;
    this.#options = options;
    this.address = { endpoint: listener.endpoint, host: sharedHost() };
  }

  /** @throws CONFIG_INVALID for an address that is none or cannot be had */
  static async open(options: NetworkOptions): Promise<RankListener> {
    return new RankListener(await LinkListener.bind(options), options);
  }

  /**
   * Joins a group, and resolves when all ranks have.
   *
   * Ranks of one host work in shared memory, and one of each host over the network. The listener is closed with the
   * communicator.
   *
   * @param addresses of all ranks, in their order
   * @throws PEER_LOST when a rank does not join in time
   */
  async join(rank: number, addresses: readonly RankAddress[]): Promise<Communicator> {
    const endpoints = addresses.map(({ endpoint }) => endpoint);
    const mesh = await joinMesh(this.#listener, this.#options, rank, endpoints);
    const ring = new RingEngine(mesh);
    const hosts = addresses.map(({ host }, at) => (host === '' ? String(at) : host));
    const nodes = [...Map.groupBy(hosts.keys(), (at) => hosts[at]!).values()];
    if (nodes.length === hosts.length) return new Communicator(ring);
    try {
      const inner = await joinHost(ring.among(nodes.find((ranks) => ranks.includes(rank))!));
      if (nodes.length > 1) return new Communicator(new HierarchicalEngine(ring, nodes, inner));
      await ring.close();
      return inner;
    } catch (error) {
      await ring.close();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#listener[Symbol.asyncDispose]();
  }
}

/**
 * Opens the collectives between the devices of a group's ranks, each of which calls this; null for devices whose data go
 * through the memory of their processes.
 *
 * @throws DEVICE_MISSING without the library for it; PEER_LOST when another rank does not join
 */
export async function openDeviceGroup(
  group: Communicator,
  device: Device,
): Promise<NcclGroup | null> {
  return device instanceof CudaDevice ? NcclGroup.open(group, device, new NcclLibrary()) : null;
}

/** Words of the path of a file in memory, as messages carry it, with zeros after its end. */
const PATH_WORDS = 16;

/** Joins the group of this host's ranks. The first of them makes the memory and tells the others. */
async function joinHost(members: RingEngine): Promise<Communicator> {
  const path = new Int32Array(PATH_WORDS);
  const text = new Uint8Array(path.buffer);
  const { rank, size } = members;
  const made = rank === 0 ? hostGroup(size) : undefined;
  new TextEncoder().encodeInto(made?.path ?? '', text);
  try {
    await new Communicator(members).broadcast({ dtype: 'i32', shape: [PATH_WORDS], data: path }, 0);
    const handle = { size, path: new TextDecoder().decode(text.subarray(0, text.indexOf(0))) };
    const host = joinHostGroup(handle, rank);
    await host.barrier();
    return host;
  } finally {
    // It still has its name if not every rank has joined.
    if (made !== undefined) unlinkHostMemory(made.path);
  }
}

/**
 * Names all that ranks must have in common to share memory: the kernel, the file system in memory, the process numbers by
 * which they look after each other, and the user.
 */
function sharedHost(): string {
  if (!hasHostMemory()) return '';
  const memory = (): number => statSync('/dev/shm').dev;
  const parts = attempt(() => [bootId(), memory(), pidNamespace(), userInfo().uid]);
  return parts === null || parts.includes(null) ? '' : parts.join(' ');
}
