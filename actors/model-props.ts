import { Arena, type ArenaLayout } from '../src/model/arena.ts';
import type { ModelConfig } from '../src/model/qwen2-5-vl/config.ts';

/** A model as it is handed to an actor on another thread: sizes, and weights that are shared, not copied. */
export interface ModelProps {
  readonly config: ModelConfig;
  readonly layout: ArenaLayout;
  readonly weights: SharedArrayBuffer;
  /** Compute threads of the process-wide pool; the number of cores where it is absent. */
  readonly threads?: number;
}

/** The arena over the shared weights. */
export function arenaOf({ layout, weights }: ModelProps): Arena {
  return new Arena(layout, weights);
}
