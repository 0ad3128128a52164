import * as E from 'fp-ts/lib/Either.js';
import { availableParallelism } from 'node:os';
import { asCxmindError, CxmindError, toWireError } from '../../src/errors.ts';
import type { Channel, Packet } from '../../transport/channel.ts';
import { encodeBody } from '../../transport/codec.ts';
import type { Body } from '../../transport/frame.ts';
import type { Link } from '../../transport/link.ts';
import { PayloadHeap } from '../../transport/shared/heap.ts';
import { ActorThread } from './actor-thread.ts';
import type { Incarnation } from './incarnation.ts';
import { moduleAt } from './module-address.ts';
import { nodeVersion, openOrder, postOrder, type OrderOf } from './node-orders.ts';
import { valueOf } from './ref.ts';
import { SharedBlocks } from './shared-blocks.ts';

/**
 * Hosts actors on worker threads for the system at the other end of a link: starts them as told, and passes
 * packets between them and the system untouched. When the link ends, so do they.
 */
export class NodeHost {
  /** This process's own blocks of memory that actors share. */
  readonly blocks = new SharedBlocks();
  /** Resolves once the link ended and no actor runs any more, with the link's error if it had one. */
  readonly ended: Promise<CxmindError | undefined>;
  /** The payloads of this thread: what came for the actors, and what they sent. */
  readonly #heap = new PayloadHeap();
  readonly #lives = new Map<number, Incarnation>();
  /** By the youngest life of each, which may be over. */
  readonly #threads = new Map<number, ActorThread>();
  #control: Channel | undefined;
  #name = '';

  constructor(link: Link) {
    link.onChannel((channel) => this.#listen(channel));
    this.ended = link.ended.then(async (reason) => {
      await Promise.all([...this.#threads.values()].map((thread) => thread.release()));
      return reason;
    });
  }

  /** The first packet of a channel says what the others are. */
  #listen(channel: Channel): void {
    let rest: ((packet: Packet) => void) | undefined;
    channel.receive((packet) => {
      if (rest === undefined) rest = this.#begin(packet, channel);
      else rest(packet);
    });
  }

  #begin(packet: Packet, channel: Channel): (packet: Packet) => void {
    const opened = openOrder(packet);
    if (E.isRight(opened)) {
      const { order, body } = opened.right;
      if (order.kind === 'hello' && this.#control === undefined)
        return this.#welcome(order, channel);
      if (order.kind === 'start' && this.#control !== undefined) {
        return this.#start(order, body, channel, this.#control);
      }
    }
    channel.close();
    return () => undefined;
  }

  #welcome({ node }: OrderOf<'hello'>, control: Channel): (packet: Packet) => void {
    this.#control = control;
    this.#name = node;
    const slots = availableParallelism();
    postOrder(control, { kind: 'welcome', version: nodeVersion, slots, pid: process.pid });
    return (packet) => this.#obey(packet, control);
  }

  #start(
    { life, previous, module, heapLimitMb, ...order }: OrderOf<'start'>,
    body: Body,
    channel: Channel,
    control: Channel,
  ): (packet: Packet) => void {
    const end = (error: CxmindError): void => {
      this.#lives.delete(life);
      channel.close();
      postOrder(control, { kind: 'ended', life, error: toWireError(error) });
    };
    let incarnation: Incarnation;
    try {
      const given = valueOf(body) as { readonly props: unknown; readonly kept?: unknown };
      const start = {
        ...order,
        node: this.#name,
        module: moduleAt(module).href,
        props: this.blocks.resolve(given.props),
        kept: 'kept' in given ? encodeBody(given.kept) : undefined,
      };
      const thread =
        this.#take(previous) ?? new ActorThread(order.name, this.#heap, heapLimitMb ?? undefined);
      this.#threads.set(life, thread);
      incarnation = thread.begin(start);
    } catch (error) {
      end(asCxmindError(error));
      return () => undefined;
    }
    this.#lives.set(life, incarnation);
    postOrder(control, { kind: 'started', life });
    incarnation.channel.receive((packet) => channel.send(packet));
    void incarnation.ended.then(end);
    void channel.closed.then(() => incarnation.terminate());
    return ({ header, frames }) =>
      incarnation.channel.send({ header, frames: frames.map((frame) => this.#heap.share(frame)) });
  }

  /** The thread that a life had, which is no more found by it. */
  #take(life: number | null): ActorThread | undefined {
    if (life === null) return undefined;
    const thread = this.#threads.get(life);
    this.#threads.delete(life);
    return thread;
  }

  #obey(packet: Packet, control: Channel): void {
    const opened = openOrder(packet);
    if (E.isLeft(opened)) {
      const fields = encodeBody({ error: toWireError(opened.left) });
      postOrder(control, { kind: 'log', level: 'error', event: 'bad order' }, fields);
      return;
    }
    const { order, body } = opened.right;
    switch (order.kind) {
      case 'urgent':
        this.#lives.get(order.life)?.urgent.send({ header: body.bytes, frames: [] });
        return;
      case 'terminate':
        this.#lives.get(order.life)?.terminate();
        return;
      case 'retire':
        void this.#take(order.life)?.release();
        return;
      case 'hello':
      case 'welcome':
      case 'start':
      case 'started':
      case 'ended':
      case 'log':
        return;
    }
  }
}
