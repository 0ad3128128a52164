/** The program of an actor's thread: it hosts the incarnations of one actor, one after the other. */
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { Channel } from '../../transport/channel.ts';
import { PayloadHeap } from '../../transport/shared/heap.ts';
import { ThreadChannel } from '../../transport/thread/channel.ts';
import { makeAt } from './actor-module.ts';
import type { ThreadOpening, ThreadStart } from './actor-thread.ts';
import { ActorHost } from './host.ts';
import { IncarnationChannels } from './incarnation.ts';

const { end, slab } = workerData as ThreadOpening;
const payloads = new PayloadHeap(slab);
const channels = new IncarnationChannels(new ThreadChannel(end, payloads), begin);

function begin(channel: Channel): void {
  // The start was posted before the incarnation's channel began, so the message is there.
  const start = (receiveMessageOnPort(parentPort!) as { message: ThreadStart }).message;
  const host = new ActorHost({
    channel,
    start,
    payloads,
    onEnd: (crash) => {
      if (crash === undefined) channels.close();
      else channel.close();
    },
  });
  void host.start((environment) => makeAt(start, start.props, environment));
}
