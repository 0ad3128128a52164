import { fromWireError, toWireError } from '../../src/errors.ts';
import type { Channel } from '../../transport/channel.ts';
import type { Body } from '../../transport/frame.ts';
import { emptyBody, post, type Envelope, type EnvelopeOf } from './envelope.ts';
import { stoppedError, type Courier } from './ref.ts';

/** The system's end of an actor's uplink: passes its messages on to other actors, bodies untouched. */
export class Relay {
  readonly #channel: Channel;
  readonly #find: (name: string) => Courier | undefined;
  readonly #open = new Map<number, AbortController>();

  constructor(channel: Channel, find: (name: string) => Courier | undefined) {
    this.#channel = channel;
    this.#find = find;
  }

  /** Takes what an actor sends to another actor; ignores the rest. */
  handle(envelope: Envelope, body: Body): void {
    if (envelope.kind === 'ask') {
      void this.#ask(envelope, body);
    } else if (envelope.kind === 'tell') {
      void this.#tell(envelope, body);
    } else if (envelope.kind === 'cancel') {
      this.#open.get(envelope.id)?.abort(fromWireError(envelope.reason));
    }
  }

  /** Cancels what the actor asked for: it is gone. */
  close(): void {
    for (const controller of this.#open.values()) controller.abort();
    this.#open.clear();
  }

  async #ask({ id, to, method, timeoutMs }: EnvelopeOf<'ask'>, body: Body): Promise<void> {
    const controller = new AbortController();
    this.#open.set(id, controller);
    try {
      const courier = this.#find(to);
      if (courier === undefined) throw stoppedError(to);
      const reply = await courier.ask(method, body, { timeoutMs, signal: controller.signal });
      post(this.#channel, { kind: 'reply', id }, reply);
    } catch (error) {
      post(this.#channel, { kind: 'refusal', id, error: toWireError(error) });
    } finally {
      this.#open.delete(id);
    }
  }

  async #tell({ id, to, method }: EnvelopeOf<'tell'>, body: Body): Promise<void> {
    await this.#find(to)?.tell(method, body);
    post(this.#channel, { kind: 'reply', id }, emptyBody);
  }
}
