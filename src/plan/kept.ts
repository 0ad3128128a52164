/** Parts that a run keeps in memory from its beginning to its end: on each card, and in the process of the host. */
import type { ArenaLayout } from '../model/weights/arena-layout.ts';
import { strategies } from '../optim/adamw-graph.ts';
import { bytesPerElement, type FloatDType } from '../tensor/dtype.ts';
import { isSteppedItself } from '../training/device-weights.ts';
import type { OptimizationOptions } from '../training/optimization.ts';
import type { PlannedRun } from './settings.ts';

/** Something that lies in memory from a run's beginning to its end. */
export interface Kept {
  readonly what: string;
  readonly bytes: number;
}

/** The sizes of a model. */
export interface ModelSizes {
  readonly layout: Pick<ArenaLayout, 'length'>;
  /** Null where the weights are trained. */
  readonly adapter: { readonly layout: Pick<ArenaLayout, 'length'> } | null;
  /** Elements at the beginning of the weights that are not trained: those of a frozen vision tower. */
  readonly frozenLength: number;
}

/** The sizes of a model, and where and how it computes. */
interface KeptModel extends ModelSizes {
  readonly computeDType: FloatDType;
  readonly isOffloaded: boolean;
}

/** A model that is trained, and by which optimizer. */
interface TrainedModel extends KeptModel {
  readonly name: 'policy' | 'critic';
  readonly optimization: Pick<OptimizationOptions, 'storage' | 'strategy' | 'offloadsState'>;
}

/** The models of a run. */
export interface KeptRun {
  readonly policy: TrainedModel;
  readonly critic: TrainedModel | null;
  /** Null where there is none, or where it reads the policy's weights under adapters. */
  readonly reference: Pick<KeptModel, 'computeDType' | 'isOffloaded'> | null;
  readonly learners: number;
  /** True where rollouts run ahead, on weights of their own. */
  readonly isAhead: boolean;
}

/** Models that a run keeps, by its plan. */
export function keptRun(
  run: Pick<PlannedRun, 'policy' | 'critic' | 'reference'> & {
    readonly step: Pick<PlannedRun['step'], 'maxStaleness'>;
  },
  { policy, critic }: { readonly policy: ModelSizes; readonly critic: ModelSizes | null },
  learners: number,
): KeptRun {
  const modelOf = (
    name: TrainedModel['name'],
    sizes: ModelSizes,
    { model: { computeDType, isOffloaded }, settings: { optimization } }: PlannedRun['policy'],
  ) => ({ ...sizes, name, computeDType, isOffloaded, optimization });
  return {
    policy: modelOf('policy', policy, run.policy),
    critic: critic && run.critic && modelOf('critic', critic, run.critic),
    reference: policy.adapter === null ? (run.reference?.model ?? null) : null,
    learners,
    isAhead: run.step.maxStaleness > 0,
  };
}

/** Lists what a run keeps on each card with a learner; the reference is on the last card alone. */
export function keptOnCard(run: KeptRun): Kept[] {
  const { policy, critic, reference, learners, isAhead } = run;
  return [
    ...trainedOnCard(policy, learners),
    ...(isAhead && !policy.isOffloaded ? [secondCopyOf(policy)] : []),
    ...(critic === null ? [] : trainedOnCard(critic, learners)),
    ...(reference === null || reference.isOffloaded
      ? []
      : part(
          `reference, ${reference.computeDType}`,
          policy.layout.length * bytesPerElement(reference.computeDType),
        )),
  ];
}

/**
 * Lists what a run keeps in the memory of the process that leads it.
 *
 * @param isOnCard true where models compute on cards, to which weights in f32 are copied
 */
export function keptOnHost(run: KeptRun, isOnCard: boolean): Kept[] {
  const { policy, critic, reference, isAhead } = run;
  const trained = critic === null ? [policy] : [policy, critic];
  if (isOnCard) {
    return trained.flatMap((model) => [
      { what: `${model.name}'s weights, f32`, bytes: 4 * allOf(model) },
      ...stateOf(model, 1).filter(() => model.optimization.offloadsState === true),
    ]);
  }
  const parts = trained.flatMap((model) => trainedOnHost(model, run.learners));
  const second = isAhead ? [secondCopyOf(policy)] : [];
  return [...parts, ...second, ...(reference === null ? [] : referenceOnHost(policy, reference))];
}

/** The weights that rollouts read while the learners step theirs. Those under adapters never change, and have no copy. */
function secondCopyOf({ layout, adapter, computeDType }: KeptModel): Kept {
  return {
    what: `policy for rollouts ahead, ${computeDType}`,
    bytes: (adapter?.layout ?? layout).length * bytesPerElement(computeDType),
  };
}

function trainedOnCard(model: TrainedModel, learners: number): Kept[] {
  const { name, computeDType, isOffloaded, optimization } = model;
  const { storage = 'f32', offloadsState = false } = optimization;
  const trained = trainedLength(model);
  const hasMasters = !isSteppedItself({ dtype: computeDType }, storage);
  const weights = isOffloaded ? 0 : allOf(model) * bytesPerElement(computeDType);
  return [
    ...part(`${name}, ${computeDType}`, weights),
    ...part(`${name}'s weights in f32`, hasMasters ? (4 * trained) / learners : 0),
    ...part(`${name}'s gradients, f32`, 4 * trained * (learners === 1 ? 1 : 1 + 1 / learners)),
    ...(offloadsState ? [] : stateOf(model, learners)),
  ];
}

/** Weights and moments that are offloaded lie in files, whose pages are in memory while they are used alone. */
function trainedOnHost(model: TrainedModel, learners: number): Kept[] {
  const { name, computeDType, isOffloaded, optimization } = model;
  const trained = trainedLength(model);
  const all = isOffloaded ? 0 : allOf(model);
  const copy = computeDType === 'f32' ? 0 : all * bytesPerElement(computeDType);
  return [
    ...part(`${name}, f32`, 4 * all),
    ...part(`${name}, ${computeDType}`, copy),
    ...part(`${name}'s gradients, f32`, 4 * trained * (learners === 1 ? 1 : learners + 1)),
    ...(optimization.offloadsState === true ? [] : stateOf(model, 1)),
  ];
}

function referenceOnHost(
  { layout: { length } }: KeptModel,
  { computeDType, isOffloaded }: NonNullable<KeptRun['reference']>,
): Kept[] {
  if (isOffloaded) return [];
  const copy = computeDType === 'f32' ? 0 : length * bytesPerElement(computeDType);
  return [...part('reference, f32', 4 * length), ...part(`reference, ${computeDType}`, copy)];
}

function stateOf(model: TrainedModel, learners: number): Kept[] {
  const { states, stateDType } = strategies[model.optimization.strategy ?? 'adamw'];
  const bytes = (states.length * bytesPerElement(stateDType) * trainedLength(model)) / learners;
  return [{ what: `${model.name}'s optimizer, ${stateDType}`, bytes }];
}

/** A part, unless it takes nothing. */
function part(what: string, bytes: number): Kept[] {
  return bytes > 0 ? [{ what, bytes }] : [];
}

function allOf({ layout, adapter }: ModelSizes): number {
  return layout.length + (adapter?.layout.length ?? 0);
}

/** Elements that are trained, padding included. */
export function trainedLength({ adapter, layout, frozenLength }: ModelSizes): number {
  return adapter?.layout.length ?? layout.length - frozenLength;
}
