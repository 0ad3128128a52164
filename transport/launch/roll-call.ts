import { addAbortListener } from 'node:events';
import type { CxmindError } from '../../src/errors.ts';
import type { Link } from '../link.ts';
import { LinkListener, type ListenOptions } from '../zmq/listener.ts';
import { identityOf, type ClusterNode, type Identity } from './cluster.ts';

/** Options of a roll call: how to listen, and who must join. */
export interface RollCallOptions extends ListenOptions {
  /** Ranks that must join. Other processes are turned away. */
  readonly ranks: readonly number[];
}

type OnLeave = (node: Identity, error: CxmindError | undefined) => void;

/** Roll call of the processes of a launch: waits until each of them has joined, and tells when one leaves. */
export class RollCall implements AsyncDisposable {
  readonly #complete = Promise.withResolvers<readonly ClusterNode[]>();
  readonly #listener: LinkListener;
  readonly #missing: Set<number>;
  readonly #joined: Omit<ClusterNode, 'name'>[] = [];
  #onLeave: OnLeave = () => undefined;

  private constructor(listener: LinkListener, ranks: readonly number[]) {
    this.#listener = listener;
    this.#missing = new Set(ranks);
    listener.onLink((link) => this.#admit(link));
    this.#check();
  }

  /** @throws CONFIG_INVALID for an address that cannot be listened at */
  static async open(options: RollCallOptions): Promise<RollCall> {
    return new RollCall(await LinkListener.bind(options), options.ranks);
  }

  /** Ports for control and for bulk, in the form that endpoints have: `4000,4001`. */
  get ports(): string {
    return this.#listener.endpoint.slice(this.#listener.endpoint.lastIndexOf(':') + 1);
  }

  /** Ranks that have not joined yet. */
  get missing(): readonly number[] {
    return [...this.#missing];
  }

  /** Ends the link of a process that is known to be gone, as its silence would end it later. */
  lose(rank: number, error: CxmindError): void {
    this.#joined.find((node) => node.rank === rank)?.link.lose(error);
  }

  /** Sets the one listener for processes that had joined and are gone. It gets an error unless they left in order. */
  onLeave(listener: OnLeave): void {
    this.#onLeave = listener;
  }

  /**
   * Waits for all processes, and returns them in the order of ranks.
   *
   * @param late makes the error for when that takes longer than `timeoutMs`
   * @throws the signal's reason once that is aborted
   */
  async all(
    signal: AbortSignal,
    timeoutMs: number,
    late: () => CxmindError,
  ): Promise<readonly ClusterNode[]> {
    const { promise: given, reject } = Promise.withResolvers<never>();
    using _ = addAbortListener(signal, () => reject(signal.reason as Error));
    const timer = setTimeout(() => reject(late()), timeoutMs);
    try {
      return await Promise.race([this.#complete.promise, given]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Ends all links in order. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#listener[Symbol.asyncDispose]();
  }

  #admit(link: Link): void {
    const identity = identityOf(link.peer);
    if (identity === undefined || !this.#missing.delete(identity.rank)) {
      void link[Symbol.asyncDispose]();
      return;
    }
    this.#joined.push({ ...identity, link });
    void link.ended.then((error) => this.#onLeave(identity, error));
    this.#check();
  }

  #check(): void {
    if (this.#missing.size > 0) return;
    this.#complete.resolve(named(this.#joined.toSorted((a, b) => a.rank - b.rank)));
  }
}

/** Names each process by its host. Those after the first on a host have a number behind it. */
function named(joined: readonly Omit<ClusterNode, 'name'>[]): ClusterNode[] {
  const seen = new Map<string, number>();
  return joined.map((node) => {
    const { host } = node;
    const before = seen.get(host) ?? 0;
    seen.set(host, before + 1);
    return { ...node, name: before === 0 ? host : `${host}.${before}` };
  });
}
