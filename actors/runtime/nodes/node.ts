import * as E from 'fp-ts/lib/Either.js';
import { availableParallelism } from 'node:os';
import { asCxmindError, CxmindError, toWireError } from '../../../src/errors.ts';
import type { Channel, Packet } from '../../../transport/channel.ts';
import { decodeBody, encodeBody } from '../../../transport/codec.ts';
import type { Body } from '../../../transport/frame.ts';
import type { Link } from '../../../transport/link.ts';
import { PayloadHeap } from '../../../transport/shared/heap.ts';
import { makeAt, moduleAt } from '../actor-module.ts';
import { ActorThread } from '../actor-thread.ts';
import type { Incarnation } from '../incarnation.ts';
import { startLocal } from '../launchers.ts';
import { nodeVersion, openOrder, postOrder, type OrderOf } from './node-orders.ts';
import { SharedBlocks } from '../shared-blocks.ts';

/**
 * The node's side of a link: it hosts actors for the system at the other end, on worker threads or on its own.
 *
 * It starts them as ordered, and passes packets between them and the system untouched. When the link ends, so do they.
 */
export class NodeHost {
  /** Blocks of memory that the actors of this process share, by name. */
  readonly blocks = new SharedBlocks();
  /** Resolves once the link ended and no thread of an actor runs any more, with the link's error if it had one. */
  readonly ended: Promise<CxmindError | undefined>;
  /** Payloads of this thread: those that came for the actors, and those that they sent. */
  readonly #heap = new PayloadHeap();
  readonly #incarnations = new Map<number, Incarnation>();
  /** Threads by the number of the youngest incarnation of each, which may be over. */
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

  /** Reads the first packet of a channel, which says what the others are. */
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
    { incarnation: number, previous, module, heapLimitMb, isLocal, ...order }: OrderOf<'start'>,
    body: Body,
    channel: Channel,
    control: Channel,
  ): (packet: Packet) => void {
    const end = (error: CxmindError): void => {
      this.#incarnations.delete(number);
      channel.close();
      postOrder(control, { kind: 'ended', incarnation: number, error: toWireError(error) });
    };
    let incarnation: Incarnation;
    try {
      const given = decodeBody(body) as { readonly props: unknown; readonly kept?: unknown };
      const start = {
        ...order,
        node: this.#name,
        module: moduleAt(module).href,
        props: this.blocks.resolve(given.props),
        kept: 'kept' in given ? encodeBody(given.kept) : undefined,
      };
      if (isLocal) {
        incarnation = startLocal(start, (environment) =>
          makeAt(start, structuredClone(start.props), environment),
        );
      } else {
        const thread =
          this.#take(previous) ?? new ActorThread(order.name, this.#heap, heapLimitMb ?? undefined);
        this.#threads.set(number, thread);
        incarnation = thread.begin(start);
      }
    } catch (error) {
      end(asCxmindError(error));
      return () => undefined;
    }
    this.#incarnations.set(number, incarnation);
    postOrder(control, { kind: 'started', incarnation: number });
    incarnation.channel.receive((packet) => channel.send(packet));
    void incarnation.ended.then(end);
    void channel.closed.then(() => incarnation.terminate());
    return ({ header, frames }) =>
      incarnation.channel.send({ header, frames: frames.map((frame) => this.#heap.share(frame)) });
  }

  /** Removes and returns the thread of an incarnation. */
  #take(number: number | null): ActorThread | undefined {
    if (number === null) return undefined;
    const thread = this.#threads.get(number);
    this.#threads.delete(number);
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
        this.#incarnations.get(order.incarnation)?.urgent.send({ header: body.bytes, frames: [] });
        return;
      case 'terminate':
        this.#incarnations.get(order.incarnation)?.terminate();
        return;
      case 'retire':
        void this.#take(order.incarnation)?.release();
        return;
      case 'hello':
      case 'welcome':
      case 'start':
      case 'started':
      case 'ended':
      case 'log':
        // A node sends these, or gets them as the first packet of a channel.
        return;
    }
  }
}
