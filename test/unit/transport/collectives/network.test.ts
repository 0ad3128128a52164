import assert from 'node:assert/strict';
import { tensorOf, zeros, type Tensor } from '../../../../src/tensor/tensor.ts';
import { RankListener } from '../../../../transport/collectives/open.ts';
import { makeRunKeys } from '../../../../transport/zmq/keys.ts';
import {
  communicatorConformance,
  type Carrier,
  type Ranks,
} from '../../../conformance/communicator.ts';
import { RankProcesses } from '../../../support/process-ranks.ts';

/** Processes that form groups over the network. */
class NetworkRanks implements Carrier {
  readonly #processes = new RankProcesses();
  readonly #hostOf: (rank: number) => string;

  /** @param hostOf which host a rank says it is on; none where it shares no memory */
  constructor(hostOf: (rank: number) => string) {
    this.#hostOf = hostOf;
  }

  open(size: number): Promise<Ranks> {
    const keys = makeRunKeys();
    const heartbeat = { intervalMs: 500, deadAfterMs: 6000 };
    return this.#processes.open(size, [
      () => ({ kind: 'listener', options: { address: 'tcp://127.0.0.1:*', keys, heartbeat } }),
      (_, replies) => ({
        kind: 'processes',
        addresses: replies.map(({ address }, rank) => ({ ...address!, host: this.#hostOf(rank) })),
      }),
    ]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#processes[Symbol.asyncDispose]();
  }
}

communicatorConformance('processes over ZeroMQ', {
  start: () => new NetworkRanks(() => ''),
  survivesLoss: true,
  large: 300_003,
});

communicatorConformance('processes of two hosts', {
  start: () => new NetworkRanks((rank) => (rank % 2 === 0 ? 'a' : 'b')),
  survivesLoss: true,
  large: 600_003,
});

describe('processes that turn out to share a host', () => {
  it('work in shared memory', async () => {
    await using processes = new NetworkRanks(() => 'a');
    const group = await processes.open(3);
    const gathered = [0, 1, 2].map(async (rank) => {
      const tensors = [tensorOf('i32', [1], [rank]), zeros('i32', [3])];
      const { args } = await group.ask(rank, { method: 'allGather', args: tensors });
      return [...((args?.[1] as Tensor).data as Int32Array)];
    });
    assert.deepEqual(await Promise.all(gathered), Array(3).fill([0, 1, 2]));
  });
});

describe('RankListener', () => {
  it('gives up when the other ranks do not join', async () => {
    const keys = makeRunKeys();
    const options = { address: 'tcp://127.0.0.1:*', keys, joinTimeoutMs: 300 };
    await using first = await RankListener.open(options);
    await using second = await RankListener.open(options);
    const addresses = [first.address, second.address];
    await assert.rejects(first.join(0, addresses), { code: 'PEER_LOST' });
  });
});
