import * as E from 'fp-ts/lib/Either.js';
import { asCxmindError, type CxmindError, toWireError } from '../../src/errors.ts';
import type { Channel, Packet } from '../../transport/channel.ts';
import { ownMemory, type PayloadMemory } from '../../transport/shared/bytes.ts';
import type { Actor, Environment } from './actor.ts';
import { open, post } from './envelope.ts';
import type { IncarnationStart } from './incarnation.ts';
import { copyOf, encodeState } from './kept-state.ts';
import { decodeAs, type Protocol } from './protocol.ts';
import { stoppedError, valueOf } from './ref.ts';
import { remoteLogger } from './remote-logger.ts';
import { Uplink } from './uplink.ts';
import { Dispatcher } from './dispatcher.ts';

export interface HostOptions {
  readonly channel: Channel;
  readonly start: IncarnationStart & Pick<Environment, 'name' | 'node' | 'devices'>;
  /** Where the tensors of what the actor says go; to memory of their own where nothing is given. */
  readonly payloads?: PayloadMemory;
  /** Called once, when the actor is disposed of: with the error after a crash, with nothing after an orderly stop. */
  readonly onEnd: (crash: CxmindError | undefined) => void;
}

/** Runs one actor at the far end of a channel: makes it, hands it its messages, ends it. */
export class ActorHost {
  readonly #channel: Channel;
  readonly #onEnd: (crash: CxmindError | undefined) => void;
  readonly #environment: Environment;
  readonly #uplink: Uplink;
  readonly #dispatcher: Dispatcher;
  #actor: Actor<Protocol> | undefined;
  #isStopping = false;
  #hasEnded = false;
  #hasCrashed = false;

  constructor({ channel, start, payloads = ownMemory, onEnd }: HostOptions) {
    const { name, restarts, kept, node, devices } = start;
    const uplink = new Uplink(channel, payloads);
    const logger = remoteLogger(channel);
    this.#channel = channel;
    this.#onEnd = onEnd;
    this.#uplink = uplink;
    this.#environment = {
      name,
      restarts,
      node,
      devices,
      logger,
      keep: (state) => void post(channel, { kind: 'kept' }, encodeState(state)),
      recall: (codec) =>
        kept && decodeAs(codec, valueOf(copyOf(kept)), `${name}: the state that was kept`),
      watch: (to, listener) => uplink.watch(to, listener),
      refTo: (to, protocol) => uplink.refTo(to, protocol),
    };
    this.#dispatcher = new Dispatcher({
      channel,
      payloads,
      name,
      logger,
      onFatal: (error) => void this.#crash(error),
      onStopped: () => void this.#end(),
    });
    channel.receive((packet) => this.#take(packet));
  }

  /** Makes the actor and announces it; whatever goes wrong until then is a crash. */
  async start<P extends Protocol>(
    make: (environment: Environment) => Promise<{ protocol: P; actor: Actor<P> }>,
  ): Promise<void> {
    try {
      const { protocol, actor } = await make(this.#environment);
      this.#actor = actor;
      this.#dispatcher.begin(protocol, actor);
    } catch (error) {
      await this.#crash(asCxmindError(error));
      return;
    }
    if (this.#isStopping) this.#dispatcher.stop(stoppedError(this.#environment.name));
    else post(this.#channel, { kind: 'ready' });
  }

  /** Lets go of an actor that cannot be stopped: nothing of it is heard any more. */
  abandon(): void {
    this.#hasEnded = true;
    this.#channel.close();
    const error = stoppedError(this.#environment.name);
    this.#dispatcher.stop(error);
    this.#uplink.close(error);
  }

  #take(packet: Packet): void {
    if (this.#hasCrashed) return;
    const opened = open(packet);
    if (E.isLeft(opened)) {
      this.#environment.logger.error({ error: opened.left }, 'bad packet');
      return;
    }
    const { envelope, body } = opened.right;
    switch (envelope.kind) {
      case 'ask':
      case 'stream':
      case 'tell':
        this.#dispatcher.put(envelope, body);
        return;
      case 'credit':
        this.#dispatcher.credit(envelope);
        return;
      case 'cancel':
        this.#dispatcher.cancel(envelope);
        return;
      case 'stop':
        this.#stop();
        return;
      case 'event':
      case 'item':
      case 'reply':
      case 'refusal':
        this.#uplink.take(envelope, body);
        return;
      case 'done':
      case 'ready':
      case 'kept':
      case 'watch':
      case 'unwatch':
      case 'stopped':
      case 'crashed':
      case 'log':
        return;
    }
  }

  #stop(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    const error = stoppedError(this.#environment.name);
    this.#uplink.close(error);
    if (this.#actor !== undefined) this.#dispatcher.stop(error);
  }

  async #end(): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    await this.#dispose();
    post(this.#channel, { kind: 'stopped' });
    this.#onEnd(undefined);
  }

  /** What a life that crashed had is not left to the next one on its thread. */
  async #crash(error: CxmindError): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#hasCrashed = true;
    post(this.#channel, { kind: 'crashed', error: toWireError(error) });
    this.#uplink.close(stoppedError(this.#environment.name));
    await this.#dispose();
    this.#onEnd(error);
  }

  async #dispose(): Promise<void> {
    try {
      if (this.#actor?.[Symbol.asyncDispose] !== undefined) {
        await this.#actor[Symbol.asyncDispose]!();
      } else {
        this.#actor?.[Symbol.dispose]?.();
      }
    } catch (error) {
      this.#environment.logger.error({ error: asCxmindError(error) }, 'dispose failed');
    }
  }
}
