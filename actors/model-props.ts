import type { Adapter, AdapterSpec } from '../src/model/adapter.ts';
import { Arena, type ArenaLayout } from '../src/model/arena.ts';
import type { ModelConfig } from '../src/model/model-config.ts';
import { SharedVersion } from '../transport/shared/version.ts';

/** A model as it is handed to an actor on another thread: sizes, and weights that are shared, not copied. */
export interface ModelProps {
  readonly config: ModelConfig;
  readonly layout: ArenaLayout;
  /** The process's own block; `WeightSync` fills it. */
  readonly weights: SharedArrayBuffer;
  /** Of the weights, a `SharedVersion`. */
  readonly version: SharedArrayBuffer;
  /** Elements at the beginning of the weights that are not trained; none where it is absent. */
  readonly frozenLength?: number;
  /** That nobody ever changes the vision tower's weights. */
  readonly isVisionFixed?: boolean;
  /** Trained instead of the weights, of which there is one version then; none where it is absent. */
  readonly adapter?: AdapterProps;
  /** Compute threads of the process-wide pool; the number of cores where it is absent. */
  readonly threads?: number;
}

/** Low-rank adapters as they are handed over, beside the weights that they belong to. */
export interface AdapterProps {
  readonly spec: AdapterSpec;
  readonly layout: ArenaLayout;
  readonly weights: SharedArrayBuffer;
  readonly version: SharedArrayBuffer;
}

/** The one version of weights that nobody trains. */
export const FROZEN_VERSION = 1;

/** What `SharedWeights` needs to know of a model. */
type WeightProps = Pick<ModelProps, 'layout' | 'weights' | 'version' | 'frozenLength' | 'adapter'>;

/** Weights that are written now and then while nobody reads them. */
export class SharedWeights {
  readonly arena: Arena;
  readonly adapter: Adapter | null;
  /** What learners step: the adapters, the weights, or those that are not frozen. */
  readonly trained: Arena;
  readonly #base: SharedVersion;
  readonly #adapted: SharedVersion | null;

  constructor({ layout, weights, version, frozenLength = 0, adapter }: WeightProps) {
    this.arena = new Arena(layout, weights);
    this.adapter =
      adapter === undefined
        ? null
        : { spec: adapter.spec, arena: new Arena(adapter.layout, adapter.weights) };
    this.trained = this.adapter?.arena ?? this.arena.from(frozenLength);
    this.#base = new SharedVersion(version);
    this.#adapted = adapter === undefined ? null : new SharedVersion(adapter.version);
  }

  /**
   * Works with the weights of one version: waits until they are here, and keeps nothing of work during which they
   * were written, as may happen to what nobody waits for any more.
   *
   * @throws RUNTIME_CANCELLED when the weights have gone past that version
   */
  async at<T>(version: number, signal: AbortSignal, work: () => T | Promise<T>): Promise<T> {
    const trained = this.#adapted ?? this.#base;
    if (trained !== this.#base) await this.#base.reach(FROZEN_VERSION, signal);
    await trained.reach(version, signal);
    const result = await work();
    trained.assert(version);
    return result;
  }
}
