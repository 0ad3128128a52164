import type { Arena } from '../../src/model/weights/arena.ts';
import { FROZEN_VERSION, type SharedWeights } from '../model-props.ts';
import type { Logger } from '../runtime/actor.ts';
import type { ActorSystem } from '../runtime/system.ts';
import { WeightSync, type Addressed, type Synced } from './sync.ts';

/**
 * The name of a block of adapters. A block of a name has one size, and a run may train others than the one before it
 * on the same system.
 */
export function adapterBlock(sizeBytes: number): string {
  return `adapter/${sizeBytes}`;
}

/**
 * The policy's weights as they get to every process: those that are trained, version by version, and beside
 * adapters also those that they are added to, once.
 */
export class PolicyWeights implements AsyncDisposable {
  readonly trained: WeightSync;
  /** Null where the weights themselves are trained. */
  readonly frozen: WeightSync | null;

  /** @param policy over the blocks named `policy` and, where there are adapters, by `adapterBlock` */
  constructor(
    system: ActorSystem,
    { arena, adapter, ...computed }: Pick<SharedWeights, 'adapter'> & Synced,
    logger: Logger,
  ) {
    const sync = (name: string, over: Arena): WeightSync =>
      new WeightSync(system, name, { ...computed, arena: over }, logger);
    const policy = sync('policy', arena);
    this.frozen = adapter === null ? null : policy;
    this.trained =
      adapter === null ? policy : sync(adapterBlock(adapter.arena.byteLength), adapter.arena);
    this.frozen?.publish(FROZEN_VERSION);
  }

  /** Sees to it that the process of an actor has the weights, wherever it restarts. */
  follow(ref: Addressed): void {
    this.frozen?.follow(ref);
    this.trained.follow(ref);
  }

  /** The same for a learner, which also steps what is trained where it is. */
  followLearner(ref: Addressed): void {
    this.frozen?.follow(ref);
    this.trained.followLearner(ref);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.trained[Symbol.asyncDispose]();
    await this.frozen?.[Symbol.asyncDispose]();
  }
}
