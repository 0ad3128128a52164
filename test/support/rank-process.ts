import { connect } from 'node:net';
import { toWireError } from '../../src/errors.ts';
import type { Communicator } from '../../transport/collectives/communicator.ts';
import { joinHostGroup, type HostGroupHandle } from '../../transport/collectives/host.ts';
import type { NetworkOptions } from '../../transport/collectives/network.ts';
import { openCommunicator, Seat, type RankCard } from '../../transport/collectives/open.ts';
import { RankAgent, type RankReply, type RankRequest } from './rank-agent.ts';
import { onValues, sendValue } from './socket-frames.ts';

/** How a rank in a process of its own gets its communicator. */
export type RankJoin =
  | { readonly kind: 'host'; readonly handle: HostGroupHandle }
  | { readonly kind: 'mpi' }
  | { readonly kind: 'seat'; readonly options: NetworkOptions }
  | { readonly kind: 'zeromq'; readonly cards: readonly RankCard[] };

/** Takes a step towards a communicator; after the last one the rank does what it is asked. */
export interface JoinRequest {
  readonly id: number;
  readonly join: RankJoin;
}

const [path, rankText] = process.argv.slice(2);
// MPI tells its ranks itself who they are.
const mpi = rankText === undefined ? await openCommunicator({ backend: 'mpi' }) : undefined;
const rank = mpi?.rank ?? Number(rankText);
const socket = connect(path!);
let seat: Seat | undefined;
let communicator: Communicator | undefined;
let agent: RankAgent | undefined;

async function join(how: RankJoin): Promise<Pick<RankReply, 'card'>> {
  switch (how.kind) {
    case 'seat':
      seat = await Seat.open(how.options);
      return { card: seat.card };
    case 'zeromq':
      communicator = await openCommunicator({
        backend: 'zeromq',
        seat: seat!,
        rank,
        cards: how.cards,
      });
      break;
    case 'host':
      communicator = joinHostGroup(how.handle, rank);
      break;
    case 'mpi':
      communicator = mpi!;
      break;
  }
  agent = new RankAgent(communicator, (reply) => sendValue(socket, reply));
  return {};
}

onValues(socket, (value) => {
  const request = value as JoinRequest | RankRequest;
  if ('join' in request) {
    join(request.join).then(
      (reply) => sendValue(socket, { id: request.id, ...reply }),
      (error: unknown) => sendValue(socket, { id: request.id, error: toWireError(error) }),
    );
  } else {
    void agent!.handle(request);
  }
});
socket.on('close', () => {
  void Promise.resolve(communicator?.[Symbol.asyncDispose]()).then(() => process.exit());
});
sendValue(socket, rank);
