import { asCxmindError, toWireError } from '../../src/errors.ts';
import { letGo } from '../../src/tensor/file-memory.ts';
import { vector } from '../../src/tensor/tensor.ts';
import type { Logger } from '../runtime/actor.ts';
import type { ActorRef } from '../runtime/ref.ts';
import type { RemoteNode } from '../runtime/nodes/remote-node.ts';
import type { weightsProtocol } from './protocol.ts';

type Keeper = ActorRef<typeof weightsProtocol>;

/** Source and destination of a copy. */
export interface CopyOptions {
  readonly node: RemoteNode;
  /** The arena here. */
  readonly weights: Float32Array;
  readonly logger: Logger;
  /** Starts a keeper on the node, in place of an earlier one. */
  readonly spawn: () => Promise<Keeper>;
}

/** Elements of a chunk: 4 MiB, so that a slow link sees progress and little is in memory twice. */
const CHUNK = 2 ** 20;
/** Chunks in flight, so that the link is never idle; few enough for an array as their queue. */
const WINDOW = 4;
/** Limit for a chunk on a slow link. The runtime notices a lost node at once, without it. */
const TIMEOUT_MS = 600_000;
const ATTEMPTS = 3;
/** Limit for the last message to a node, which may be about to end. */
const REVOKE_MS = 5_000;

/** A copy of the weights in another process, brought up to date in the background, one version at a time. */
export class RemoteCopy {
  readonly node: RemoteNode;
  readonly #options: CopyOptions;
  #keeper: Keeper | undefined;
  #hasLeft = false;
  #abort = new AbortController();
  #task: Promise<void> = Promise.resolve();

  constructor(options: CopyOptions) {
    this.node = options.node;
    this.#options = options;
    void options.node.ended.then(() => (this.#hasLeft = true));
  }

  /** Begins to send the weights of now, and gives up those still in flight. */
  bring(version: number): void {
    this.#begin((keeper, signal) => this.#send(keeper, version, signal));
  }

  /** Names the version of weights that learners there stepped themselves. */
  name(version: number): void {
    this.#begin((keeper, signal) =>
      keeper.ask.publish({ version }, { timeoutMs: TIMEOUT_MS, signal }),
    );
  }

  /** Withdraws the weights there; resolves once nobody reads them any more. */
  async revise(): Promise<void> {
    this.#begin((keeper, signal) =>
      keeper.ask.revise(undefined, { timeoutMs: TIMEOUT_MS, signal }),
    );
    await this.#task;
  }

  /** Aborts the copy in flight; the weights here may change once this resolves. */
  async cancel(): Promise<void> {
    this.#abort.abort();
    await this.#task;
  }

  /** Withdraws the weights for good, without waiting long for a node that does not answer. */
  async revoke(): Promise<void> {
    await this.cancel();
    const told = this.#keeper?.ask.revise(undefined, { timeoutMs: REVOKE_MS });
    await told?.catch(() => undefined);
  }

  #begin(work: (keeper: Keeper, signal: AbortSignal) => Promise<void>): void {
    this.#abort.abort();
    const { signal } = (this.#abort = new AbortController());
    this.#task = this.#task.then(() => this.#insist(work, signal));
  }

  /** Retries with another keeper. A node where that does not help is closed, and its actors move elsewhere. */
  async #insist(
    work: (keeper: Keeper, signal: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    const { node, logger, spawn } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        if (signal.aborted) return;
        await work((this.#keeper ??= await spawn()), signal);
        return;
      } catch (thrown) {
        if (signal.aborted || this.#hasLeft) return;
        this.#keeper = undefined;
        const error = toWireError(asCxmindError(thrown));
        logger.warn({ node: node.name, attempt, error }, 'weights not brought');
        if (attempt < ATTEMPTS) continue;
        await node.close();
        return;
      }
    }
  }

  async #send(keeper: Keeper, version: number, signal: AbortSignal): Promise<void> {
    const { weights } = this.#options;
    const options = { timeoutMs: TIMEOUT_MS, signal };
    const chunks: Promise<void>[] = [];
    await keeper.ask.revise(undefined, options);
    try {
      for (let offset = 0; offset < weights.length; offset += CHUNK) {
        if (chunks.length >= WINDOW) await chunks.shift();
        const data = weights.subarray(offset, offset + CHUNK);
        const chunk = { offset, values: vector('f32', data) };
        chunks.push(keeper.ask.write(chunk, options).then(() => letGo(data)));
      }
      await Promise.all(chunks);
    } finally {
      await Promise.allSettled(chunks);
    }
    await keeper.ask.publish({ version }, options);
  }
}
