import assert from 'node:assert/strict';
import { tensorOf, zeros, type Tensor } from '../../../../src/tensor/tensor.ts';
import { Seat } from '../../../../transport/collectives/open.ts';
import { makeRunKeys } from '../../../../transport/zmq/keys.ts';
import { communicatorConformance, type Ranks } from '../../../conformance/communicator.ts';
import { processRanks } from '../../../support/process-ranks.ts';

/** @param hostOf which host a rank says it is on; none where it shares no memory */
function networkRanks(size: number, hostOf: (rank: number) => string): Promise<Ranks> {
  const keys = makeRunKeys();
  const heartbeat = { intervalMs: 200, deadAfterMs: 3000 };
  return processRanks(size, [
    () => ({ kind: 'seat', options: { address: 'tcp://127.0.0.1:*', keys, heartbeat } }),
    (_, replies) => ({
      kind: 'zeromq',
      cards: replies.map(({ card }, rank) => ({ ...card!, host: hostOf(rank) })),
    }),
  ]);
}

communicatorConformance('processes over ZeroMQ', {
  open: (size) => networkRanks(size, () => ''),
  survivesLoss: true,
  large: 700_003,
});

communicatorConformance('processes of two hosts', {
  open: (size) => networkRanks(size, (rank) => (rank % 2 === 0 ? 'a' : 'b')),
  survivesLoss: true,
  large: 700_003,
});

describe('processes that turn out to share a host', () => {
  it('work in shared memory', async () => {
    const group = await networkRanks(3, () => 'a');
    try {
      const gathered = [0, 1, 2].map(async (rank) => {
        const tensors = [tensorOf('i32', [1], [rank]), zeros('i32', [3])];
        const { args } = await group.ask(rank, { group: 0, method: 'allGather', args: tensors });
        return [...((args?.[1] as Tensor).data as Int32Array)];
      });
      assert.deepEqual(await Promise.all(gathered), Array(3).fill([0, 1, 2]));
    } finally {
      await group.end();
    }
  });
});

describe('a seat', () => {
  it('gives up when the other ranks do not join', async () => {
    const keys = makeRunKeys();
    const options = { address: 'tcp://127.0.0.1:*', keys, joinTimeoutMs: 300 };
    await using first = await Seat.open(options);
    await using second = await Seat.open(options);
    const cards = [first.card, second.card];
    await assert.rejects(first.join(0, cards), { code: 'PEER_LOST' });
  });
});
