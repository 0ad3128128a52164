/** The policy's weights, and the adapters beside them, as learners and rollouts follow them. */
import { Arena } from '../../src/model/weights/arena.ts';
import { isInFile } from '../../src/tensor/file-memory.ts';
import { FROZEN_VERSION, type SharedWeights } from '../model-props.ts';
import type { Logger } from '../runtime/actor.ts';
import type { ActorSystem } from '../runtime/system.ts';
import { weightsMarker, WeightSync, type Addressed, type Synced } from './sync.ts';

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
  /** Weights that rollouts sample with: the trained ones, or a second arena of them where rollouts run ahead. */
  readonly sampled: WeightSync;
  /** Null where the weights themselves are trained. */
  readonly frozen: WeightSync | null;

  /**
   * @param policy  over the blocks named `policy` and, where there are adapters, by `adapterBlock`
   * @param isAhead whether rollouts sample while the trained weights are stepped
   */
  constructor(
    system: ActorSystem,
    { arena, adapter, ...computed }: Pick<SharedWeights, 'adapter'> & Synced,
    logger: Logger,
    isAhead = false,
  ) {
    const sync = (name: string, over: Arena): WeightSync =>
      new WeightSync(system, name, { ...computed, arena: over }, logger);
    const policy = sync('policy', arena);
    this.frozen = adapter === null ? null : policy;
    this.trained =
      adapter === null ? policy : sync(adapterBlock(adapter.arena.byteLength), adapter.arena);
    this.frozen?.publish(FROZEN_VERSION);
    this.sampled = this.trained;
    if (!isAhead) return;
    const { layout, byteLength, buffer } = adapter?.arena ?? arena;
    const name = adapter === null ? 'rollout' : `rollout/${adapterBlock(byteLength)}`;
    const second = system.blocks.get(weightsMarker(name, byteLength, isInFile(buffer)));
    this.sampled = sync(name, new Arena(layout, second));
  }

  /** Brings the weights to the process of a rollout, wherever it restarts. */
  followRollout(ref: Addressed): void {
    this.frozen?.follow(ref);
    this.sampled.follow(ref);
  }

  /** Brings the weights to the process of a learner, which then steps the trained ones itself. */
  followLearner(ref: Addressed): void {
    this.frozen?.follow(ref);
    this.trained.followLearner(ref);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.sampled !== this.trained) await this.sampled[Symbol.asyncDispose]();
    await this.trained[Symbol.asyncDispose]();
    await this.frozen?.[Symbol.asyncDispose]();
  }
}
