import type { CxmindError } from '../../src/errors.ts';
import type { Link } from '../link.ts';
import { LinkListener, type ListenOptions } from '../zmq/listener.ts';
import type { ClusterNode } from './cluster.ts';
import { identityOf, type Identity } from './identity.ts';

export interface RollCallOptions extends ListenOptions {
  /** The processes that must join; others are turned away. */
  readonly ranks: readonly number[];
}

type OnLeave = (node: Identity, error: CxmindError | undefined) => void;

/** Where the processes of a launch join: waits for each of them, and tells when one leaves. */
export class RollCall implements AsyncDisposable {
  readonly #complete: Promise<readonly ClusterNode[]>;
  readonly #listener: LinkListener;
  readonly #missing: Set<number>;
  readonly #joined: (Identity & { readonly link: Link })[] = [];
  readonly #resolve: (nodes: readonly ClusterNode[]) => void;
  #onLeave: OnLeave = () => undefined;

  private constructor(listener: LinkListener, ranks: readonly number[]) {
    this.#listener = listener;
    this.#missing = new Set(ranks);
    const { promise, resolve } = Promise.withResolvers<readonly ClusterNode[]>();
    this.#complete = promise;
    this.#resolve = resolve;
    listener.onLink((link) => this.#admit(link));
    this.#check();
  }

  /** @throws CONFIG_INVALID for an address that cannot be listened at */
  static async open(options: RollCallOptions): Promise<RollCall> {
    return new RollCall(await LinkListener.bind(options), options.ranks);
  }

  /** The ports for control and for bulk, as they stand in an endpoint: `4000,4001`. */
  get ports(): string {
    return this.#listener.endpoint.slice(this.#listener.endpoint.lastIndexOf(':') + 1);
  }

  /** Ranks that have not joined yet. */
  get missing(): readonly number[] {
    return [...this.#missing];
  }

  /** The process of that rank is known to be gone: its link ends at once, as its silence would end it later. */
  lose(rank: number, error: CxmindError): void {
    this.#joined.find((node) => node.rank === rank)?.link.lose(error);
  }

  /** Sets the one listener for processes that had joined and are gone: with an error unless they left in order. */
  onLeave(listener: OnLeave): void {
    this.#onLeave = listener;
  }

  /**
   * The processes, by rank, once all are there.
   *
   * @param late what to throw when that takes longer than `timeoutMs`
   * @throws the signal's reason once that is aborted
   */
  async all(
    signal: AbortSignal,
    timeoutMs: number,
    late: () => CxmindError,
  ): Promise<readonly ClusterNode[]> {
    const { promise: given, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', onAbort);
    if (signal.aborted) onAbort();
    const timer = setTimeout(() => reject(late()), timeoutMs);
    try {
      return await Promise.race([this.#complete, given]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** Ends all links in order. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.#listener.close();
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
    this.#resolve(named(this.#joined.toSorted((a, b) => a.rank - b.rank)));
  }
}

/** Calls each by its host, those after the first of a host with a number behind it. */
function named(joined: readonly (Identity & { readonly link: Link })[]): ClusterNode[] {
  const seen = new Map<string, number>();
  return joined.map((node) => {
    const { host } = node;
    const before = seen.get(host) ?? 0;
    seen.set(host, before + 1);
    return { ...node, name: before === 0 ? host : `${host}.${before}` };
  });
}
