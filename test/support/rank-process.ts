import { connect } from 'node:net';
import type { Communicator } from '../../transport/collectives/communicator.ts';
import { joinHostGroup, type HostGroupHandle } from '../../transport/collectives/host.ts';
import { openMpi } from '../../transport/collectives/mpi.ts';
import { RankAgent, type RankRequest } from './rank-agent.ts';
import { onValues, sendValue } from './socket-frames.ts';

/** How a rank in a process of its own gets its communicator. */
export type RankJoin =
  { readonly kind: 'host'; readonly handle: HostGroupHandle } | { readonly kind: 'mpi' };

const [path, rankText] = process.argv.slice(2);
// MPI tells its ranks itself who they are.
const mpi = rankText === undefined ? openMpi() : undefined;
const rank = mpi?.rank ?? Number(rankText);
const socket = connect(path!);
let joining: Promise<{ communicator: Communicator; agent: RankAgent }> | undefined;

function join(how: RankJoin): Promise<Communicator> {
  switch (how.kind) {
    case 'host':
      return Promise.resolve(joinHostGroup(how.handle, rank));
    case 'mpi':
      return Promise.resolve(mpi!);
  }
}

// The first value says how to join, all others what to do.
onValues(socket, (value) => {
  if (joining === undefined) {
    joining = join(value as RankJoin).then((communicator) => {
      const agent = new RankAgent(communicator, (reply) => sendValue(socket, reply));
      return { communicator, agent };
    });
  } else {
    void joining.then(({ agent }) => agent.handle(value as RankRequest));
  }
});
socket.on('close', () => {
  void joining
    ?.then(({ communicator }) => communicator[Symbol.asyncDispose]())
    .then(() => process.exit());
});
sendValue(socket, rank);
