import { workerData } from 'node:worker_threads';
import { CxmindError } from '../../src/errors.ts';
import { PayloadHeap } from '../../transport/shared/heap.ts';
import { ThreadChannel, type ThreadEnd } from '../../transport/thread/channel.ts';
import type { ActorFactory } from './actor.ts';
import { ActorHost } from './host.ts';
import type { ThreadStart } from './incarnation.ts';
import type { Protocol } from './protocol.ts';

const start = workerData as ThreadStart & {
  readonly end: ThreadEnd;
  readonly slab: SharedArrayBuffer;
};
const payloads = new PayloadHeap(start.slab);
const channel = new ThreadChannel(start.end, payloads);
const host = new ActorHost({
  channel,
  start,
  payloads,
  onEnd: (crash) => {
    channel.close();
    if (crash !== undefined) process.exit(1);
  },
});
await host.start(async (environment) => {
  const factory = await importFactory(start);
  return {
    protocol: factory.protocol,
    actor: await factory.create(start.props, environment),
  };
});

async function importFactory({
  module,
  create,
  protocolName,
}: ThreadStart): Promise<ActorFactory<Protocol, unknown>> {
  const exports = (await import(module)) as Readonly<
    Record<string, Partial<ActorFactory<Protocol, unknown>> | undefined>
  >;
  const factory = exports[create];
  if (typeof factory?.create !== 'function' || factory.protocol?.name !== protocolName) {
    throw new CxmindError(
      'INTERNAL',
      `${module} exports no factory '${create}' of the protocol ${protocolName}`,
    );
  }
  return factory as ActorFactory<Protocol, unknown>;
}
