import { Arena, type ArenaLayout } from '../src/model/arena.ts';
import type { ModelConfig } from '../src/model/qwen2-5-vl/config.ts';
import { SharedVersion } from '../transport/shared/version.ts';

/** A model as it is handed to an actor on another thread: sizes, and weights that are shared, not copied. */
export interface ModelProps {
  readonly config: ModelConfig;
  readonly layout: ArenaLayout;
  /** The process's own block; `WeightSync` fills it. */
  readonly weights: SharedArrayBuffer;
  /** Of the weights, a `SharedVersion`. */
  readonly version: SharedArrayBuffer;
  /** Compute threads of the process-wide pool; the number of cores where it is absent. */
  readonly threads?: number;
}

/** Weights that are written now and then while nobody reads them. */
export class SharedWeights {
  readonly arena: Arena;
  readonly #version: SharedVersion;

  constructor({ layout, weights, version }: Pick<ModelProps, 'layout' | 'weights' | 'version'>) {
    this.arena = new Arena(layout, weights);
    this.#version = new SharedVersion(version);
  }

  /**
   * Works with the weights of one version: waits until they are here, and keeps nothing of work during which they
   * were written, as may happen to what nobody waits for any more.
   *
   * @throws RUNTIME_CANCELLED when the weights have gone past that version
   */
  async at<T>(version: number, signal: AbortSignal, work: () => T | Promise<T>): Promise<T> {
    await this.#version.reach(version, signal);
    const result = await work();
    this.#version.assert(version);
    return result;
  }
}
