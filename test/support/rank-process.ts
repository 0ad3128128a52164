import { connect } from 'node:net';
import type { Communicator } from '../../transport/collectives/communicator.ts';
import { joinHostGroup, type HostGroupHandle } from '../../transport/collectives/host.ts';
import { RankAgent, type RankRequest } from './rank-agent.ts';
import { onValues, sendValue } from './socket-frames.ts';

/** How a rank in a process of its own gets its communicator. */
export type RankJoin = { readonly kind: 'host'; readonly handle: HostGroupHandle };

const [path, rankText] = process.argv.slice(2);
const rank = Number(rankText);
const socket = connect(path!);
let agent: Promise<RankAgent> | undefined;

function join(how: RankJoin): Promise<Communicator> {
  return Promise.resolve(joinHostGroup(how.handle, rank));
}

// The first value says how to join, all others what to do.
onValues(socket, (value) => {
  if (agent === undefined) {
    agent = join(value as RankJoin).then(
      (communicator) => new RankAgent(communicator, (reply) => sendValue(socket, reply)),
    );
    agent.catch((error: unknown) => {
      process.stderr.write(`rank ${rank}: ${String(error)}\n`);
      process.exit(1);
    });
  } else {
    void agent.then((ready) => ready.handle(value as RankRequest));
  }
});
socket.on('close', () => process.exit());
sendValue(socket, rank);
