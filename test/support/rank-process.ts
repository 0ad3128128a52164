import { connect } from 'node:net';
import { toWireError } from '../../src/errors.ts';
import type { Communicator } from '../../transport/collectives/communicator.ts';
import { joinHostGroup, type HostGroupHandle } from '../../transport/collectives/host.ts';
import type { NetworkOptions } from '../../transport/collectives/network.ts';
import { openMpi } from '../../transport/collectives/mpi.ts';
import { RankListener, type RankAddress } from '../../transport/collectives/open.ts';
import { doAsAsked, type RankReply, type RankRequest } from './rank-agent.ts';
import { onValues, sendValue } from './socket-frames.ts';

/** Way in which a rank in a process of its own gets a communicator. */
export type RankJoin =
  | { readonly kind: 'host'; readonly handle: HostGroupHandle }
  /** All of the job. */
  | { readonly kind: 'mpi' }
  | { readonly kind: 'listener'; readonly options: NetworkOptions }
  | { readonly kind: 'processes'; readonly addresses: readonly RankAddress[] };

/** Takes a step towards the communicator of a session; after the last one the rank does what it is asked in it. */
export interface JoinRequest {
  readonly id: number;
  readonly session: number;
  readonly join: RankJoin;
}

/** Request to a rank in a session. */
export type SessionRequest = RankRequest & { readonly session: number };

const [path, rankText] = process.argv.slice(2);
// MPI tells its ranks itself who they are.
const world = rankText === undefined ? await openMpi() : undefined;
const rank = world?.rank ?? Number(rankText);
const socket = connect(path!);
const listeners = new Map<number, RankListener>();
const communicators = new Map<number, Communicator>();

async function join(session: number, how: RankJoin): Promise<Pick<RankReply, 'address'>> {
  if (how.kind === 'listener') {
    const listener = await RankListener.open(how.options);
    listeners.set(session, listener);
    return { address: listener.address };
  }
  communicators.set(session, await communicatorOf(session, how));
  return {};
}

async function communicatorOf(
  session: number,
  how: Exclude<RankJoin, { kind: 'listener' }>,
): Promise<Communicator> {
  switch (how.kind) {
    case 'processes':
      return listeners.get(session)!.join(rank, how.addresses);
    case 'host':
      return joinHostGroup(how.handle, rank);
    case 'mpi':
      // The same ranks once more, which know nothing of what failed before.
      return openMpi();
  }
}

onValues(socket, (value) => {
  const request = value as JoinRequest | SessionRequest;
  if ('join' in request) {
    join(request.session, request.join).then(
      (reply) => sendValue(socket, { id: request.id, ...reply }),
      (error: unknown) => sendValue(socket, { id: request.id, error: toWireError(error) }),
    );
  } else {
    const communicator = communicators.get(request.session)!;
    void doAsAsked(communicator, request).then((reply) => sendValue(socket, reply));
  }
});
// Without a group there is nothing left to do. `process.exit` might wait forever for a thread of V8 (nodejs/node#54918).
socket.on('close', () => {
  // MPI ends once, with any of its groups.
  const open = world === undefined ? communicators.values() : [world];
  for (const communicator of open) void communicator[Symbol.asyncDispose]();
});
sendValue(socket, rank);
