import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { asCxmindError, CxmindError } from '../../../src/errors.ts';
import { NodeProcess, type Output } from '../../../transport/launch/node-process.ts';
import type { Link } from '../../../transport/link.ts';
import { makeRunKeys, ticketFor } from '../../../transport/zmq/keys.ts';
import { LinkListener } from '../../../transport/zmq/listener.ts';
import type { Heartbeat } from '../../../transport/zmq/liveness.ts';
import { entryModule } from '../actor-module.ts';
import type { ChildOrder } from './node-entry.ts';
import type { NodeOptions } from '../placement.ts';
import type { RemoteNode } from './remote-node.ts';
import { CrashRecord, defaultSupervision, type Supervision } from '../supervisor.ts';

/** Options of a child process that is to host actors. */
export interface ProcessOptions extends Omit<NodeOptions, 'link'> {
  /** Strategy for a process that ends by itself; `restart` starts another in its place. */
  readonly supervision?: Supervision;
}

/** Time that a process may take to end once it has no more to do, in milliseconds. */
const graceMs = 2_000;

/** Option that says how package names are resolved. A process that loads the same modules needs the same. */
const conditions = '--conditions=';

const output: Output = {
  stdout: (text) => void process.stdout.write(text),
  stderr: (text) => void process.stderr.write(text),
};

interface ChildNodesOptions {
  /** Heartbeat of the links. It says how soon a process that hangs is taken for dead. */
  readonly heartbeat: Heartbeat;
  /** Adds a process to the system. */
  readonly join: (options: NodeOptions) => Promise<RemoteNode>;
  readonly onEscalate: (error: CxmindError) => void;
}

/**
 * Child processes that host actors, linked to this process over the loopback device.
 *
 * They end with this process, also when it is killed outright. A child that ends earlier is started anew as its
 * supervision says.
 */
export class ChildNodes implements AsyncDisposable {
  readonly #options: ChildNodesOptions;
  readonly #keys = makeRunKeys();
  readonly #processes = new Set<NodeProcess>();
  readonly #supervised = new Set<Promise<void>>();
  readonly #closing = new AbortController();
  /** Callbacks that wait for the link of a process, by its name. */
  readonly #awaited = new Map<string, (link: Link) => void>();
  #listening: Promise<LinkListener> | undefined;

  constructor(options: ChildNodesOptions) {
    this.#options = options;
  }

  /**
   * Starts a process and resolves when it hosts actors.
   *
   * A first start is not retried.
   *
   * @throws PEER_LOST, with its last lines, for a process that ends before
   */
  async start(options: ProcessOptions): Promise<RemoteNode> {
    const { node, ended } = await this.#launch(options);
    const supervised = this.#supervise(options, ended);
    this.#supervised.add(supervised);
    void supervised.then(() => this.#supervised.delete(supervised));
    return node;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await Promise.all([...this.#processes].map((child) => child.stop(graceMs)));
    await Promise.all(this.#supervised);
    await (await this.#listening)?.[Symbol.asyncDispose]();
  }

  /** @returns the node, and the reason for the end of its process, once it has ended */
  async #launch({
    supervision: _,
    ...options
  }: ProcessOptions): Promise<{ node: RemoteNode; ended: Promise<CxmindError> }> {
    const { name } = options;
    const { heartbeat, join } = this.#options;
    const { endpoint } = await (this.#listening ??= this.#listen());
    const order: ChildOrder = { name, ticket: ticketFor(endpoint, this.#keys), heartbeat };
    const linked = new Promise<Link>((resolve) => this.#awaited.set(name, resolve));
    const child = new NodeProcess({
      command: [
        process.execPath,
        '--disable-sigusr1',
        ...process.execArgv.filter((option) => option.startsWith(conditions)),
        fileURLToPath(entryModule('nodes/node-entry')),
      ],
      order: `${JSON.stringify(order)}\n`,
      prefix: '',
      output,
    });
    this.#processes.add(child);
    const exited = child.ended.then(({ code, lines }) => {
      this.#processes.delete(child);
      const said = lines.length === 0 ? '' : `: ${lines.join('\n')}`;
      return new CxmindError('PEER_LOST', `process ${name} ended with code ${code}${said}`);
    });
    const link = await Promise.race([linked, exited]);
    this.#awaited.delete(name);
    if (link instanceof CxmindError) throw link;
    void exited.then((error) => link.lose(error));
    try {
      const node = await join({ ...options, link });
      const ended = node.ended.then((error) => child.stop(graceMs).then(() => error));
      return { node, ended };
    } catch (error) {
      await child.stop(graceMs);
      throw error;
    }
  }

  async #supervise(options: ProcessOptions, ended: Promise<CxmindError>): Promise<void> {
    const crashes = new CrashRecord(options.supervision ?? defaultSupervision);
    for (;;) {
      const error = await ended;
      if (this.#closing.signal.aborted || error.code === 'ACTOR_STOPPED') return;
      const verdict = crashes.add();
      if (verdict.kind === 'escalate') this.#options.onEscalate(error);
      if (verdict.kind !== 'restart') return;
      const { signal } = this.#closing;
      await delay(verdict.afterMs, undefined, { signal }).catch(() => undefined);
      if (signal.aborted) return;
      ended = this.#launch(options).then((launched) => launched.ended, asCxmindError);
    }
  }

  async #listen(): Promise<LinkListener> {
    const { heartbeat } = this.#options;
    const address = 'tcp://127.0.0.1:*';
    const listener = await LinkListener.bind({ address, keys: this.#keys, heartbeat });
    listener.onLink((link) => {
      const take = this.#awaited.get(link.peer);
      if (take === undefined) void link[Symbol.asyncDispose]();
      else take(link);
    });
    return listener;
  }
}
