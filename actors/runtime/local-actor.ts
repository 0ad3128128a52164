import { CxmindError } from '../../src/errors.ts';
import { sameThreadPair } from '../../transport/same-thread.ts';
import type { Actor, Environment } from './actor.ts';
import { ActorHost } from './host.ts';
import type { Incarnation, IncarnationStart } from './incarnation.ts';
import type { Protocol } from './protocol.ts';

/** Makes an actor for a life. */
export type Make<P extends Protocol> = (
  environment: Environment,
) => Promise<{ protocol: P; actor: Actor<P> }>;

/** Starts an actor on the calling thread. */
export function startLocal<P extends Protocol>(
  name: string,
  life: IncarnationStart,
  make: Make<P>,
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
  void host.start(make);
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
