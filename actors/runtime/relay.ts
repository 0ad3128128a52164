import { fromWireError, toWireError } from '../../src/errors.ts';
import type { Channel } from '../../transport/channel.ts';
import type { Body } from '../../transport/frame.ts';
import { emptyBody, post, type EnvelopeOf } from './envelope.ts';
import { encodeEvent, type ActorEvent } from './event.ts';
import { stoppedError, type Sender } from './ref.ts';
import { StreamOutlet } from './stream.ts';

/** What an actor sends to other actors. */
type Outgoing =
  | EnvelopeOf<'ask'>
  | EnvelopeOf<'stream'>
  | EnvelopeOf<'tell'>
  | EnvelopeOf<'watch'>
  | EnvelopeOf<'unwatch'>
  | EnvelopeOf<'credit'>
  | EnvelopeOf<'cancel'>;

export interface RelayOptions {
  readonly find: (address: string) => Sender | undefined;
  readonly watch: (name: string, listener: (event: ActorEvent) => void) => Disposable;
  readonly onDeadLetter: (actor: string, method: string) => void;
}

/**
 * The system's end of an actor's uplink: passes its messages on to other actors, bodies untouched. A `tell` is
 * acknowledged when the other's mailbox has taken it, and a stream's items are passed on as credit allows, so that
 * both ends feel each other's pace.
 */
export class Relay {
  readonly #channel: Channel;
  readonly #options: RelayOptions;
  readonly #open = new Map<number, { abort: AbortController; outlet?: StreamOutlet }>();

  readonly #watches = new Map<number, Disposable>();

  constructor(channel: Channel, options: RelayOptions) {
    this.#channel = channel;
    this.#options = options;
  }

  handle(envelope: Outgoing, body: Body): void {
    switch (envelope.kind) {
      case 'ask':
        void this.#ask(envelope, body);
        return;
      case 'stream':
        void this.#stream(envelope, body);
        return;
      case 'tell':
        void this.#tell(envelope, body);
        return;
      case 'watch':
        this.#watch(envelope);
        return;
      case 'unwatch':
        this.#watches.get(envelope.id)?.[Symbol.dispose]();
        this.#watches.delete(envelope.id);
        return;
      case 'credit':
        this.#open.get(envelope.id)?.outlet?.credit(envelope.count);
        return;
      case 'cancel':
        this.#open.get(envelope.id)?.abort.abort(fromWireError(envelope.reason));
        return;
    }
  }

  /** Cancels what the actor asked for, and watches nobody for it any more: it is gone. */
  close(): void {
    for (const { abort } of this.#open.values()) abort.abort();
    this.#open.clear();
    for (const watch of this.#watches.values()) watch[Symbol.dispose]();
    this.#watches.clear();
  }

  #watch({ id, to }: EnvelopeOf<'watch'>): void {
    const watch = this.#options.watch(to, (event) => {
      post(this.#channel, { kind: 'event', id }, encodeEvent(event));
    });
    this.#watches.set(id, watch);
  }

  #ask({ id, to, method, timeoutMs }: EnvelopeOf<'ask'>, body: Body): Promise<void> {
    const abort = new AbortController();
    this.#open.set(id, { abort });
    return this.#answer(id, () =>
      this.#senderTo(to).ask(method, body, { timeoutMs, signal: abort.signal }),
    );
  }

  #stream({ id, to, method, timeoutMs, window }: EnvelopeOf<'stream'>, body: Body): Promise<void> {
    const [abort, outlet] = [new AbortController(), new StreamOutlet(window)];
    const { signal } = abort;
    this.#open.set(id, { abort, outlet });
    return this.#answer(id, async () => {
      const items = this.#senderTo(to).stream(method, body, { timeoutMs, window, signal });
      for await (const item of items) {
        await outlet.room(signal);
        post(this.#channel, { kind: 'item', id }, item);
      }
      return emptyBody;
    });
  }

  #tell({ id, to, method }: EnvelopeOf<'tell'>, body: Body): Promise<void> {
    return this.#answer(id, async () => {
      const sender = this.#options.find(to);
      if (sender === undefined) this.#options.onDeadLetter(to, method);
      else await sender.tell(method, body);
      return emptyBody;
    });
  }

  async #answer(id: number, work: () => Promise<Body>): Promise<void> {
    try {
      post(this.#channel, { kind: 'reply', id }, await work());
    } catch (error) {
      post(this.#channel, { kind: 'refusal', id, error: toWireError(error) });
    } finally {
      this.#open.delete(id);
    }
  }

  #senderTo(address: string): Sender {
    const sender = this.#options.find(address);
    if (sender === undefined) throw stoppedError(address);
    return sender;
  }
}
