import * as E from 'fp-ts/lib/Either.js';
import { CxmindError, fromWireError, toWireError } from '../../src/errors.ts';
import type { Channel, Packet } from '../../transport/channel.ts';
import type { Body } from '../../transport/frame.ts';
import type { Link } from '../../transport/link.ts';
import type { Logger } from './actor.ts';
import type { Incarnation } from './incarnation.ts';
import { nodeVersion, openOrder, postOrder, type Order, type OrderOf } from './node-orders.ts';
import { valueOf } from './ref.ts';
import type { Resources } from './resources.ts';

/** A process that is to host actors. */
export interface NodeOptions {
  /** Unique among the nodes that live: `host-a`. */
  readonly name: string;
  /** The way to its `NodeHost`; the system owns it from now on. */
  readonly link: Link;
  /** What it has. Default: a slot for each of its cores, and no devices. */
  readonly resources?: Partial<Resources>;
  /** The pool it belongs to, whose actors it may get. Default `nodes`. */
  readonly pool?: string;
}

/** What begins a life on a node, but for its number. */
export type StartOrder = Omit<OrderOf<'start'>, 'kind' | 'life' | 'previous'>;

/** The system's side of one life: orders wait until the node says that it knows the life. */
interface RemoteIncarnation {
  readonly onEnded: (error: CxmindError) => void;
  /** Undefined once the node knows the life. */
  held: (() => void)[] | undefined;
}

/** A process that hosts actors of this system, at the other end of a link. */
export class RemoteNode {
  readonly name: string;
  /** Resolves with the reason once the node is gone: ACTOR_STOPPED after `close`, else PEER_LOST. */
  readonly ended: Promise<CxmindError>;
  readonly #link: Link;
  readonly #control: Channel;
  readonly #logger: Logger;
  readonly #lives = new Map<number, RemoteIncarnation>();
  /** The numbers of lives, for those who know them otherwise. */
  readonly #numbers = new WeakMap<Incarnation, number>();
  readonly #welcome = Promise.withResolvers<OrderOf<'welcome'>>();
  #pid = 0;
  #nextLife = 0;
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
      for (const { onEnded } of this.#lives.values()) onEnded(error);
      this.#lives.clear();
      return error;
    });
  }

  /**
   * Makes the acquaintance of the node behind a link.
   *
   * @returns the node, and the number of its cores
   * @throws PEER_LOST when the link ends first, WIRE_INVALID when the node is of another version
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

  /** Its process, as its own host numbers it. */
  get pid(): number {
    return this.#pid;
  }

  /**
   * Begins a life of an actor there.
   *
   * @param body     `{ props }`, and `kept` where there is such state
   * @param previous the actor's life before
   */
  start(order: StartOrder, body: Body, previous: Incarnation | undefined): Incarnation {
    const id = this.#nextLife++;
    const channel = this.#link.open();
    const { promise, resolve } = Promise.withResolvers<CxmindError>();
    const life: RemoteIncarnation = { onEnded: resolve, held: [] };
    this.#lives.set(id, life);
    const start = {
      ...order,
      kind: 'start',
      life: id,
      previous: this.#numberOf(previous),
    } as const;
    if (!postOrder(channel, start, body)) void this.ended.then(resolve);
    const send = (order: Order, orderBody?: Body): void => {
      const act = (): void => void postOrder(this.#control, order, orderBody);
      if (life.held === undefined) act();
      else life.held.push(act);
    };
    const incarnation: Incarnation = {
      channel,
      urgent: {
        send: ({ header, frames }) => {
          send({ kind: 'urgent', life: id }, { bytes: header, frames });
          return true;
        },
      },
      // what the life sent last may still be on its way when its end is told
      ended: promise.then((error) => channel.closed.then(() => error)),
      terminate: () => send({ kind: 'terminate', life: id }),
    };
    this.#numbers.set(incarnation, id);
    return incarnation;
  }

  /** Tells that no life follows a life, so that nothing is kept there for one. */
  retire(incarnation: Incarnation): void {
    const life = this.#numberOf(incarnation);
    if (life !== null) postOrder(this.#control, { kind: 'retire', life });
  }

  /** Ends the node and all that runs there. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#link[Symbol.asyncDispose]();
    await this.ended;
  }

  /** Null for a life that was elsewhere. */
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
        this.#release(order.life);
        return;
      case 'ended':
        this.#lives.get(order.life)?.onEnded(fromWireError(order.error));
        this.#lives.delete(order.life);
        return;
      case 'log':
        this.#logger[order.level]({ node: this.name, ...(valueOf(body) as object) }, order.event);
        return;
      case 'hello':
      case 'start':
      case 'urgent':
      case 'terminate':
      case 'retire':
        return;
    }
  }

  #release(id: number): void {
    const life = this.#lives.get(id);
    const held = life?.held ?? [];
    if (life !== undefined) life.held = undefined;
    for (const act of held) act();
  }
}
