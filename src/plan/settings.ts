/** The slices of a run's plan (`planRun` of the trainer) that its memory and its time depend on. */
import type { Algorithm } from '../config/schema.ts';
import type { DeviceName } from '../device/open.ts';
import type { Sampling } from '../generation/sampler.ts';
import type { ExplorationOptions } from '../training/exploration.ts';
import type { OptimizationOptions } from '../training/optimization.ts';
import type { MicroBatchOptions } from '../training/micro-batches.ts';
import type { FloatDType } from '../tensor/dtype.ts';

/** Places where a model computes, and where its weights lie. */
interface PlannedCompute {
  readonly devices: readonly DeviceName[];
  readonly computeDType: FloatDType;
  readonly isOffloaded: boolean;
  /** Compute threads of a process; null is one per core. */
  readonly threads: number | null;
}

/** A model that is trained. */
export interface PlannedModel extends PlannedCompute {
  /** Directory with the model's `config.json`; weights need not be there. */
  readonly path: string;
  readonly overrides: Readonly<Record<string, unknown>>;
  readonly freezeVisionTower: boolean;
  readonly lora: PlannedLora | null;
  readonly learners: number;
}

/** Adapters to train in place of weights. */
interface PlannedLora {
  readonly rank: number;
  readonly alpha: number;
  readonly targetModules: string;
  readonly excludeModules: string | null;
}

/** Settings of a model's training. */
export interface PlannedTraining {
  readonly gradientCheckpointing: boolean;
  readonly optimization: OptimizationOptions;
  readonly updateMicroBatch: MicroBatchOptions;
  readonly experienceMicroBatch: MicroBatchOptions;
}

/** The updates of a step. */
export interface PlannedUpdates {
  /** Samples of an optimizer step, over all learners. */
  readonly miniBatchSize: number;
  readonly epochs: number;
}

/** A run as a plan sees it. */
export interface PlannedRun {
  readonly policy: { readonly model: PlannedModel; readonly settings: PlannedTraining };
  readonly critic: { readonly model: PlannedModel; readonly settings: PlannedTraining } | null;
  readonly reference: {
    readonly model: PlannedCompute;
    readonly microBatch: MicroBatchOptions;
  } | null;
  readonly rollout: {
    readonly engine: { readonly maxPrefillTokens: number; readonly memoryShare: number };
  };
  readonly step: {
    /** Prompts of a step. */
    readonly prompts: number;
    readonly sampling: Sampling & { readonly n: number };
    readonly algorithm: Pick<Algorithm, 'advEstimator'>;
    readonly maxPromptLength: number;
    readonly maxResponseLength: number;
    readonly maxStaleness: number;
    readonly policy: PlannedUpdates;
    readonly critic: PlannedUpdates;
    readonly exploration: ExplorationOptions;
  };
}

/** Numbers of actors with models and of users' threads, and of the actors that share a device where most do. */
export interface PlannedPlaces {
  readonly learners: number;
  readonly rollouts: number;
  readonly learnersADevice: number;
  readonly rolloutsADevice: number;
  /** Threads of users' reward functions in the leading process. */
  readonly functions: number;
}
