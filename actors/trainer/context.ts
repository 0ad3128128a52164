import type { KlController } from '../../src/algorithms/kl.ts';
import type { Config } from '../../src/config/schema.ts';
import type { PromptCursor } from '../../src/data/prompt-source.ts';
import type { DecoderSizes } from '../../src/flops.ts';
import type { GateChoice, GateState } from '../../src/reward/gate.ts';
import type { AdvanceState } from '../../src/training/advance.ts';
import type { WeightSync } from '../weights/sync.ts';
import type { Cast } from './run-actors.ts';
import type { Reporter } from './reporter.ts';
import type { PromptFeed, Task, TaskState } from './tasks.ts';
import type { Timeline } from './timeline.ts';

/** What a run remembers from step to step, besides the learner's own state. */
export interface RunState {
  readonly cursor: PromptCursor;
  readonly gate: GateState;
  readonly validationGate: GateState;
  readonly klController: KlController;
  /** How near a stage is to its end. */
  readonly advance: AdvanceState;
  /** Of the earlier stages whose data go on. */
  readonly replay: readonly TaskState[];
}

/** The task of an earlier stage. */
export type Replay = Task & { readonly name: string };

/** What does not change during a run. */
export interface StepContext {
  readonly cast: Cast;
  /** The policy's, for every process that reads them. */
  readonly weights: WeightSync;
  readonly config: Config;
  /** Of the models that are trained, for what training them costs. */
  readonly sizes: { readonly policy: DecoderSizes; readonly critic: DecoderSizes | null };
  readonly gate: GateChoice | undefined;
  /** Earlier stages of a curriculum whose data and rewards go on. */
  readonly replays: readonly Replay[];
  /** Prompts of the run and of those stages. */
  readonly feed: PromptFeed;
  readonly reporter: Reporter;
  /** Where phases are drawn; null when nobody asked for them. */
  readonly timeline: Timeline | null;
  readonly signal: AbortSignal;
}

/** What a step needs besides, as it may be undone until weights change. */
export interface UndoableContext extends StepContext {
  /** Called once, before the first weights change. @throws the signal's reason when the step is to be undone */
  readonly beginUpdate: () => Promise<void>;
}
