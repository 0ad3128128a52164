import { Worker } from 'node:worker_threads';
import { asCxmindError, CxmindError } from '../../src/errors.ts';
import type { Channel } from '../../transport/channel.ts';
import type { Body } from '../../transport/frame.ts';
import { sameThreadPair } from '../../transport/same-thread.ts';
import type { PayloadHeap } from '../../transport/shared/heap.ts';
import { threadPair } from '../../transport/thread/channel.ts';
import type { Actor, Environment } from './actor.ts';
import { ActorHost } from './host.ts';
import { entryModule } from './module-address.ts';
import type { Protocol } from './protocol.ts';

/** One life of an actor: from being made until it stopped or crashed. */
export interface Incarnation {
  readonly channel: Channel;
  /** The way for what must not wait behind messages: to stop, to cancel. May overtake the channel. */
  readonly urgent: Pick<Channel, 'send'>;
  /** Resolves with the reason once nothing of it runs and its last packet was delivered. */
  readonly ended: Promise<CxmindError>;
  /** Ends it from outside, whatever it is doing. */
  terminate(): void;
}

/** Which life of an actor begins. */
export interface Life {
  /** How often it was restarted before. */
  readonly restarts: number;
  /** The state that an earlier one kept. */
  readonly kept: Body | undefined;
}

/** Begins the lives of one actor, wherever that is. */
export interface Launcher {
  /** Name of the node of the youngest life; undefined in this process. */
  readonly node: string | undefined;
  /** Rejects when there is nowhere to begin, and once `signal` is aborted. */
  launch(life: Life, signal: AbortSignal): Promise<Incarnation>;
  /** Gives back what the actor claimed: it has no further life. */
  release(): void;
}

/** The launcher of an actor that needs nothing but this process. */
export function launcherHere(launch: (life: Life) => Incarnation): Launcher {
  return {
    node: undefined,
    launch: (life) => Promise.try(launch, life),
    release: () => undefined,
  };
}

/** What a worker thread is given at its start. */
export interface ThreadStart extends Life {
  readonly name: string;
  /** Name of the node that the thread is of; undefined in the system's own process. */
  readonly node: string | undefined;
  readonly devices: readonly string[];
  readonly protocolName: string;
  /** URL of the module that exports the factory. */
  readonly module: string;
  readonly create: string;
  readonly props: unknown;
}

/** The payload memory of the two ends of a thread's channel. */
export interface ThreadPayloads {
  /** That of the thread which starts the actor. */
  readonly heap: PayloadHeap;
  /** The slab of the actor's thread. Given to its next life, it is the old one's no more. */
  readonly slab: SharedArrayBuffer;
}

/**
 * Starts an actor on a thread of its own.
 *
 * @throws DataCloneError for props that are not plain data
 */
export function startThread(
  start: ThreadStart,
  heapLimitMb: number | undefined,
  { heap, slab }: ThreadPayloads,
): Incarnation {
  const [channel, end] = threadPair(heap);
  let worker: Worker;
  try {
    worker = new Worker(entryModule('thread-entry'), {
      name: start.name,
      workerData: { ...start, end, slab },
      transferList: [end.port],
      ...(heapLimitMb === undefined
        ? {}
        : { resourceLimits: { maxOldGenerationSizeMb: heapLimitMb } }),
    });
  } catch (error) {
    channel.close();
    throw error;
  }
  let uncaught: CxmindError | undefined;
  worker.on('error', (error) => {
    uncaught = asCxmindError(error);
  });
  const exited = new Promise<number>((resolve) => worker.once('exit', resolve));
  const ended = Promise.all([exited, channel.closed]).then(([code]) => {
    channel.reclaim();
    return uncaught ?? new CxmindError('ACTOR_CRASHED', `thread exited with code ${code}`);
  });
  return { channel, urgent: channel, ended, terminate: () => void worker.terminate() };
}

/** Starts an actor on the calling thread. */
export function startLocal<P extends Protocol>(
  name: string,
  life: Life,
  protocol: P,
  create: (environment: Environment) => Actor<P> | Promise<Actor<P>>,
): Incarnation {
  const [channel, far] = sameThreadPair();
  const { promise: ended, resolve } = Promise.withResolvers<CxmindError>();
  const end = (reason: CxmindError): void => {
    far.close();
    void channel.closed.then(() => resolve(reason));
  };
  const host = new ActorHost({
    channel: far,
    start: { ...life, name, node: undefined, devices: [] },
    onEnd: (crash) => end(crash ?? new CxmindError('ACTOR_STOPPED', `${name} ended`)),
  });
  void host.start(async (environment) => ({ protocol, actor: await create(environment) }));
  return {
    channel,
    urgent: channel,
    ended,
    terminate: () => {
      host.abandon();
      end(new CxmindError('ACTOR_CRASHED', `${name} was let go of`));
    },
  };
}
