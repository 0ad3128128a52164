import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { Channel } from '../../transport/channel.ts';
import { PayloadHeap } from '../../transport/shared/heap.ts';
import { ThreadChannel } from '../../transport/thread/channel.ts';
import type { ActorFactory } from './actor.ts';
import type { ThreadOpening, ThreadStart } from './actor-thread.ts';
import { importFactory } from './factory.ts';
import { ActorHost } from './host.ts';
import { IncarnationChannels } from './incarnation-channels.ts';
import type { Protocol } from './protocol.ts';

const { end, slab } = workerData as ThreadOpening;
const payloads = new PayloadHeap(slab);
const lives = new IncarnationChannels(new ThreadChannel(end, payloads), begin);

/** The actor's, once a life has imported it. */
let factory: ActorFactory<Protocol, unknown> | undefined;

/** Begins a life: its start was posted before its channel began. */
function begin(channel: Channel): void {
  const start = (receiveMessageOnPort(parentPort!) as { message: ThreadStart }).message;
  const host = new ActorHost({
    channel,
    start,
    payloads,
    onEnd: (crash) => {
      if (crash === undefined) lives.close();
      else channel.close();
    },
  });
  void host.start(async (environment) => {
    factory ??= await importFactory(start);
    const actor = await factory.create(start.props, environment);
    return { protocol: factory.protocol, actor };
  });
}
