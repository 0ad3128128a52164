import { makeRunKeys } from '../../../../transport/zmq/keys.ts';
import { communicatorConformance } from '../../../conformance/communicator.ts';
import { processRanks } from '../../../support/process-ranks.ts';

communicatorConformance('processes over ZeroMQ', {
  open(size) {
    const keys = makeRunKeys();
    const heartbeat = { intervalMs: 200, deadAfterMs: 3000 };
    return processRanks(size, [
      () => ({ kind: 'seat', options: { address: 'tcp://127.0.0.1:*', keys, heartbeat } }),
      (_, replies) => ({ kind: 'network', endpoints: replies.map(({ endpoint }) => endpoint!) }),
    ]);
  },
  survivesLoss: true,
  large: 700_003,
});
