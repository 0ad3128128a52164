/** The parts of a run that its steps work with. */
import type { MemoryGauge } from '../../src/device/memory.ts';
import type { ModelConfig } from '../../src/model/model-config.ts';
import type { referenceProtocol } from '../reference/protocol.ts';
import type { ReferenceWeights } from '../weights/reference-weights.ts';
import type { rolloutProtocol } from '../rollout/protocol.ts';
import type { Logger } from '../runtime/actor.ts';
import type { ActorRef } from '../runtime/ref.ts';
import type { RolloutWeights } from '../weights/rollout-weights.ts';
import type { WeightSync } from '../weights/sync.ts';
import type { Critics, Learners } from './learners.ts';
import type { RunPlan } from './plan.ts';
import type { PromptFeed, Task } from './prompt-feed.ts';
import type { LiveRun } from './report/live-run.ts';
import type { Reporter } from './report/reporter.ts';
import type { Timeline } from './report/timeline.ts';

/** The actors of a run by their roles. */
export interface RunActors {
  /** The run's own prompts and rewards. */
  readonly task: Task;
  /** Prompts and rewards of earlier stages of a curriculum that go on. */
  readonly replays: readonly Task[];
  readonly learners: Learners;
  /** Null unless advantages are estimated from values. */
  readonly critics: Critics | null;
  readonly rollouts: readonly ActorRef<typeof rolloutProtocol>[];
  /** Null when nothing needs reference log-probabilities. */
  readonly reference: Reference | null;
}

/** The reference: its actor, and the weights that it reads. */
interface Reference {
  readonly ref: ActorRef<typeof referenceProtocol>;
  readonly weights: ReferenceWeights;
}

/** Parts of a run that stay the same from its first step to its last. */
export interface StepContext {
  readonly plan: RunPlan;
  readonly actors: RunActors;
  /** The policy's weights, which get to every process that reads them. */
  readonly weights: WeightSync;
  /** Weights that rollouts sample with. */
  readonly rolloutWeights: RolloutWeights;
  /** Sizes of the models that are trained; they say what training costs. */
  readonly sizes: {
    readonly policy: ModelConfig['text'];
    readonly critic: ModelConfig['text'] | null;
  };
  readonly feed: PromptFeed;
  readonly reporter: Reporter;
  readonly logger: Logger;
  readonly timeline: Timeline;
  /** Name that the devices that train are sold under; null where they do not tell, as processors. */
  readonly product: string | null;
  /** Memory of those devices. */
  readonly gauge: MemoryGauge;
  /** The state of the run, as its status file has it. */
  readonly live: LiveRun;
  /** Aborts when the run is given up. */
  readonly signal: AbortSignal;
  /** Aborts when the run is to save a checkpoint at once, and return. */
  readonly preemption: AbortSignal;
}

/**
 * A step's context. A run that is to end at once leaves the step until it calls `beginUpdate`, and finishes it from then
 * on.
 */
export interface PreemptibleContext extends StepContext {
  /** Called once, before the first weights change. @throws the signal's reason when the step is to be left */
  readonly beginUpdate: () => Promise<void>;
}
