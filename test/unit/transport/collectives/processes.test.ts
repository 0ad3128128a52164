import assert from 'node:assert/strict';
import { tensorOf, zeros } from '../../../../src/tensor/tensor.ts';
import { hostGroup } from '../../../../transport/collectives/host.ts';
import { RankListener } from '../../../../transport/collectives/open.ts';
import { makeRunKeys } from '../../../../transport/zmq/keys.ts';
import { communicatorConformance, type Ranks } from '../../../conformance/communicator.ts';
import { RankProcesses } from '../../../support/process-ranks.ts';

describe('processes', () => {
  // The same processes for all: starting one costs more than all that it does.
  let processes: RankProcesses;
  before(() => (processes = new RankProcesses()));
  after(() => processes[Symbol.asyncDispose]());

  /** Forms groups over the network. `hostOf` says which host a rank is on; none where it shares no memory. */
  const network =
    (hostOf: (rank: number) => string) =>
    (size: number): Promise<Ranks> => {
      const keys = makeRunKeys();
      const heartbeat = { intervalMs: 500, deadAfterMs: 6000 };
      return processes.open(size, [
        () => ({ kind: 'listener', options: { address: 'tcp://127.0.0.1:*', keys, heartbeat } }),
        (_, replies) => ({
          kind: 'processes',
          addresses: replies.map(({ address }, rank) => ({ ...address!, host: hostOf(rank) })),
        }),
      ]);
    };

  communicatorConformance('processes over ZeroMQ', {
    open: network(() => ''),
    sizes: [1, 2, 3, 5],
    survivesLoss: true,
    large: 400_002,
  });

  communicatorConformance('processes of two hosts', {
    open: network((rank) => (rank % 2 === 0 ? 'a' : 'b')),
    sizes: [1, 2, 3, 5],
    survivesLoss: true,
    large: 800_001,
  });

  communicatorConformance('processes of a host', {
    open(size) {
      const handle = hostGroup(size);
      return processes.open(size, [() => ({ kind: 'host', handle })]);
    },
    sizes: [1, 2, 3, 5],
    survivesLoss: true,
    large: 600_000,
  });

  it('that turn out to share a host work in shared memory', async () => {
    const group = await network(() => 'a')(3);
    const gathered = [0, 1, 2].map(async (rank) => {
      const tensors = [tensorOf('i32', [1], [rank]), zeros('i32', [3])];
      const { output } = await group.ask(rank, { method: 'allGather', args: tensors });
      return [...(output!.data as Int32Array)];
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
