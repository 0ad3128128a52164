import { asCxmindError, type CxmindError, toWireError } from '../../src/errors.ts';
import type { LogLevel } from '../../src/log.ts';
import type { Channel } from '../../transport/channel.ts';
import { decodeBody, encodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import {
  ownMemory,
  sharedCopy,
  type PayloadMemory,
} from '../../transport/shared/payload-memory.ts';
import type { Actor, Environment, Logger } from './actor.ts';
import { Dispatcher } from './dispatcher.ts';
import { Outbox, receive, type Envelope } from './envelope.ts';
import type { IncarnationStart } from './incarnation.ts';
import { decodeAs, type Protocol } from './protocol.ts';
import { stoppedError } from './ref.ts';
import { Uplink } from './relay.ts';

/** Facts that an incarnation is told about itself. */
export type HostStart = IncarnationStart & Pick<Environment, 'name' | 'node' | 'devices'>;

/** Makes an actor, anew for each incarnation. */
export type Make = (
  environment: Environment,
) => Promise<{ protocol: Protocol; actor: Actor<Protocol> }>;

interface HostOptions {
  readonly channel: Channel;
  readonly start: HostStart;
  /** Memory for the tensors of what the actor sends. Default: memory of their own. */
  readonly payloads?: PayloadMemory;
  /** Called once, when the actor is disposed of: with the error after a crash, with nothing after an orderly stop. */
  readonly onEnd: (crash: CxmindError | undefined) => void;
}

/**
 * Host of one incarnation, at the actor's end of the channel: it makes the actor, passes its messages to the
 * dispatcher, and ends it. The `Cell` is its counterpart at the system's end.
 */
export class ActorHost {
  readonly #channel: Channel;
  readonly #outbox: Outbox;
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
    const outbox = new Outbox(channel);
    const uplink = new Uplink(outbox, payloads);
    const logger = loggerOver(outbox);
    this.#channel = channel;
    this.#outbox = outbox;
    this.#onEnd = onEnd;
    this.#uplink = uplink;
    this.#environment = {
      name,
      restarts,
      node,
      devices,
      logger,
      keep: (state) => void outbox.post({ kind: 'kept' }, encodeState(state)),
      recall: (codec) =>
        kept && decodeAs(codec, decodeBody(copyOf(kept)), `${name}: the state that was kept`),
      watch: (to, listener) => uplink.watch(to, listener),
      refTo: (to, protocol) => uplink.refTo(to, protocol),
    };
    this.#dispatcher = new Dispatcher({
      outbox,
      payloads,
      name,
      logger,
      onEnd: (crash) => void this.#end(crash),
    });
    receive(
      channel,
      (envelope, body) => this.#take(envelope, body),
      (error) => logger.error({ error }, 'bad packet'),
    );
  }

  /** Makes the actor and announces it. Any failure until then is a crash. */
  async start(make: Make): Promise<void> {
    try {
      const { protocol, actor } = await make(this.#environment);
      this.#actor = actor;
      this.#dispatcher.begin(protocol, actor);
    } catch (error) {
      await this.#end(asCxmindError(error));
      return;
    }
    if (this.#isStopping) this.#dispatcher.stop(stoppedError(this.#environment.name));
    else this.#outbox.post({ kind: 'ready' });
  }

  /** Gives up an actor that does not stop in time. It is heard no more, and disposed of once its handlers return. */
  abandon(): void {
    this.#channel.close();
    this.#stop();
  }

  #take(envelope: Envelope, body: Body): void {
    if (this.#hasCrashed) return;
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
        // A host sends these and never gets them.
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

  async #end(crash: CxmindError | undefined): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    if (crash !== undefined) {
      this.#hasCrashed = true;
      this.#outbox.post({ kind: 'crashed', error: toWireError(crash) });
      this.#uplink.close(stoppedError(this.#environment.name));
    }
    // The next incarnation may run on this thread, and must not find what this one held.
    await this.#dispose();
    if (crash === undefined) this.#outbox.post({ kind: 'stopped' });
    this.#onEnd(crash);
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

/** Encodes state as it is now, to be kept. @throws WIRE_INVALID for what is not plain data */
export function encodeState(state: unknown): Body {
  return copyOf(encodeBody(state));
}

/** Copies a body to memory of its own, so that its tensors may be written from now on. */
function copyOf({ bytes, frames }: Body): Body {
  return { bytes: new Uint8Array(bytes), frames: frames.map(sharedCopy) };
}

/** Makes a logger whose events surface at the system's end of the channel. */
function loggerOver(outbox: Outbox): Logger {
  const at =
    (level: LogLevel) =>
    (fields: object, event: string): void => {
      outbox.post({ kind: 'log', level, event }, fieldsBody(fields));
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

/** Encodes the fields of an event: errors in their wire form, and a complaint in place of what is not plain data. */
function fieldsBody(fields: object): Body {
  const plain = Object.entries(fields).map(([key, value]: [string, unknown]) => [
    key,
    value instanceof Error ? toWireError(value) : value,
  ]);
  try {
    return encodeBody(Object.fromEntries(plain));
  } catch (error) {
    return encodeBody({ unloggable: asCxmindError(error).message });
  }
}
