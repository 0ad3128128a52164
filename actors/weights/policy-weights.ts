import type { Arena } from '../../src/model/weights/arena.ts';
import { FROZEN_VERSION, type SharedWeights } from '../model-props.ts';
import type { Logger } from '../runtime/actor.ts';
import type { ActorSystem } from '../runtime/system.ts';
import { WeightSync, type Addressed, type Synced } from './sync.ts';

/**
 * Name of a block of adapters. It contains the size, since a block of one name has one size, and runs on one system may
 * train different adapters.
 */
export function adapterBlock(sizeBytes: number): string {
  return `adapter/${sizeBytes}`;
}

/** The policy's weights for every process: the trained ones version by version, and those under adapters once. */
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

  /** Brings the weights to the process of an actor, wherever it restarts. */
  follow(ref: Addressed): void {
    this.frozen?.follow(ref);
    this.trained.follow(ref);
  }

  /** Brings the weights to the process of a learner, which then steps the trained ones itself. */
  followLearner(ref: Addressed): void {
    this.frozen?.follow(ref);
    this.trained.followLearner(ref);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.trained[Symbol.asyncDispose]();
    await this.frozen?.[Symbol.asyncDispose]();
  }
}
