import * as E from 'fp-ts/lib/Either.js';
import { CxmindError, fromWireError, toWireError } from '../../../src/errors.ts';
import type { Channel, Packet } from '../../../transport/channel.ts';
import { decodeBody } from '../../../transport/codec.ts';
import type { Body } from '../../../transport/frame.ts';
import type { Link } from '../../../transport/link.ts';
import type { Logger } from '../actor.ts';
import type { Incarnation } from '../incarnation.ts';
import { nodeVersion, openOrder, postOrder, type Order, type OrderOf } from './node-orders.ts';

/** Order that begins an incarnation on a node, without the numbers that the node knows it by. */
export type StartOrder = Omit<OrderOf<'start'>, 'kind' | 'incarnation' | 'previous'>;

/** Answers of a node about one incarnation: that it knows it, and that it has ended. */
interface RemoteIncarnation {
  readonly started: PromiseWithResolvers<undefined>;
  readonly ended: PromiseWithResolvers<CxmindError>;
}

/** The system's side of a node: a process that hosts actors, at the other end of a link. */
export class RemoteNode {
  readonly name: string;
  /** Resolves with the reason once the node is gone: ACTOR_STOPPED after `close`, else PEER_LOST. */
  readonly ended: Promise<CxmindError>;
  readonly #link: Link;
  readonly #control: Channel;
  readonly #logger: Logger;
  readonly #incarnations = new Map<number, RemoteIncarnation>();
  readonly #numbers = new WeakMap<Incarnation, number>();
  readonly #welcome = Promise.withResolvers<OrderOf<'welcome'>>();
  #pid = 0;
  #nextNumber = 0;
  #isClosed = false;

  private constructor(name: string, link: Link, logger: Logger) {
    this.name = name;
    this.#link = link;
    this.#logger = logger;
    this.#control = link.open();
    this.#control.receive((packet) => this.#take(packet));
    postOrder(this.#control, { kind: 'hello', version: nodeVersion, node: name });
    this.ended = link.ended.then((reason) => {
      const error = this.#isClosed
        ? new CxmindError('ACTOR_STOPPED', `node ${name} was closed`)
        : (reason ?? new CxmindError('PEER_LOST', `node ${name} left`));
      this.#welcome.reject(error);
      for (const { ended } of this.#incarnations.values()) ended.resolve(error);
      this.#incarnations.clear();
      return error;
    });
  }

  /**
   * Greets the node behind a link.
   *
   * @returns the node, and the number of its cores
   * @throws PEER_LOST when the link ends first, WIRE_INVALID for a node of another version
   */
  static async join(
    name: string,
    link: Link,
    logger: Logger,
  ): Promise<{ readonly node: RemoteNode; readonly slots: number }> {
    const node = new RemoteNode(name, link, logger);
    const { version, slots, pid } = await node.#welcome.promise;
    node.#pid = pid;
    if (version !== nodeVersion) {
      await link[Symbol.asyncDispose]();
      const versions = `version ${version} of the orders, this system ${nodeVersion}`;
      throw new CxmindError('WIRE_INVALID', `node ${name} speaks ${versions}`);
    }
    return { node, slots };
  }

  /** Id of its process on its own host. */
  get pid(): number {
    return this.#pid;
  }

  /**
   * Begins an incarnation of an actor on the node.
   *
   * @param body     `{ props }`, and `kept` where there is such state
   * @param previous the actor's incarnation before this one
   */
  start(order: StartOrder, body: Body, previous: Incarnation | undefined): Incarnation {
    const number = this.#nextNumber++;
    const channel = this.#link.open();
    const started = Promise.withResolvers<undefined>();
    const ended = Promise.withResolvers<CxmindError>();
    this.#incarnations.set(number, { started, ended });
    const start = {
      ...order,
      kind: 'start',
      incarnation: number,
      previous: this.#numberOf(previous),
    } as const;
    if (!postOrder(channel, start, body)) void this.ended.then(ended.resolve);
    // Other orders wait until the node knows the incarnation.
    const send = (order: Order, orderBody?: Body): void => {
      void started.promise.then(() => postOrder(this.#control, order, orderBody));
    };
    const incarnation: Incarnation = {
      channel,
      urgent: {
        send: ({ header, frames }) => {
          send({ kind: 'urgent', incarnation: number }, { bytes: header, frames });
          return true;
        },
      },
      // The last packets of the incarnation may still be on their way when its end is told.
      ended: ended.promise.then((error) => channel.closed.then(() => error)),
      terminate: () => send({ kind: 'terminate', incarnation: number }),
    };
    this.#numbers.set(incarnation, number);
    return incarnation;
  }

  /** Tells the node that no incarnation follows this one, so that it holds nothing for the next. */
  retire(incarnation: Incarnation): void {
    const number = this.#numberOf(incarnation);
    if (number !== null) postOrder(this.#control, { kind: 'retire', incarnation: number });
  }

  /** Ends the node and all that runs there. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#link[Symbol.asyncDispose]();
    await this.ended;
  }

  /** Number of an incarnation on this node; null for one that was elsewhere. */
  #numberOf(incarnation: Incarnation | undefined): number | null {
    return (incarnation && this.#numbers.get(incarnation)) ?? null;
  }

  #take(packet: Packet): void {
    const opened = openOrder(packet);
    if (E.isLeft(opened)) {
      this.#logger.error({ node: this.name, error: toWireError(opened.left) }, 'bad order');
      return;
    }
    const { order, body } = opened.right;
    switch (order.kind) {
      case 'welcome':
        this.#welcome.resolve(order);
        return;
      case 'started':
        this.#incarnations.get(order.incarnation)?.started.resolve(undefined);
        return;
      case 'ended':
        this.#incarnations.get(order.incarnation)?.ended.resolve(fromWireError(order.error));
        this.#incarnations.delete(order.incarnation);
        return;
      case 'log':
        this.#logger[order.level](
          { node: this.name, ...(decodeBody(body) as object) },
          order.event,
        );
        return;
      case 'hello':
      case 'start':
      case 'urgent':
      case 'terminate':
      case 'retire':
        // The system sends these and never gets them.
        return;
    }
  }
}
