import { openDevice, type DeviceName } from '../../src/device/open.ts';
import { CxmindError } from '../../src/errors.ts';
import { strategies } from '../../src/optim/adamw-graph.ts';
import { bytesPerElement } from '../../src/tensor/dtype.ts';
import { isSteppedItself } from '../../src/training/device-weights.ts';
import type { LoadedModel } from './models.ts';
import type { PolicyPlan, RunPlan } from './plan.ts';

/** Something that lies in a card's memory from a run's beginning to its end. */
export interface Kept {
  readonly what: string;
  readonly bytes: number;
}

/** Lists what a run keeps on each card with a learner; the reference is on the last card alone. */
export function keptOnCard(
  plan: Pick<RunPlan, 'policy' | 'critic' | 'reference' | 'placement' | 'step'>,
  { policy, critic }: { readonly policy: LoadedModel; readonly critic: LoadedModel | null },
): Kept[] {
  const { learners } = plan.placement;
  const reference = policy.adapter === null ? plan.reference?.model : undefined;
  return [
    ...keptOf('policy', policy, plan.policy.settings.optimization, learners),
    ...(plan.step.maxStaleness > 0 && !policy.isOffloaded ? [secondCopyOf(policy)] : []),
    ...(critic && plan.critic
      ? keptOf('critic', critic, plan.critic.settings.optimization, learners)
      : []),
    ...(reference === undefined || reference.isOffloaded
      ? []
      : [
          {
            what: `reference, ${reference.computeDType}`,
            bytes: policy.arena.layout.length * bytesPerElement(reference.computeDType),
          },
        ]),
  ];
}

/** The weights that rollouts read while the learners step theirs. Those under adapters never change, and have no copy. */
function secondCopyOf({ arena, adapter, computeDType }: LoadedModel): Kept {
  const { length } = (adapter?.arena ?? arena).layout;
  return {
    what: `policy for rollouts ahead, ${computeDType}`,
    bytes: length * bytesPerElement(computeDType),
  };
}

function keptOf(
  name: string,
  { arena, adapter, computeDType, isOffloaded, frozenLength }: LoadedModel,
  { storage, strategy, offloadsState }: PolicyPlan['settings']['optimization'],
  learners: number,
): Kept[] {
  const all = arena.layout.length + (adapter?.arena.layout.length ?? 0);
  const trained = adapter?.arena.layout.length ?? arena.layout.length - frozenLength;
  const hasMasters = !isSteppedItself({ dtype: computeDType }, storage);
  const { states, stateDType } = strategies[strategy];
  const state = (states.length * bytesPerElement(stateDType) * trained) / learners;
  return [
    {
      what: `${name}, ${computeDType}`,
      bytes: isOffloaded ? 0 : all * bytesPerElement(computeDType),
    },
    { what: `${name}'s weights in f32`, bytes: hasMasters ? (4 * trained) / learners : 0 },
    {
      what: `${name}'s gradients, f32`,
      bytes: 4 * trained * (learners === 1 ? 1 : 1 + 1 / learners),
    },
    { what: `${name}'s optimizer, ${stateDType}`, bytes: offloadsState ? 0 : state },
  ].filter(({ bytes }) => bytes > 0);
}

/**
 * A table of a card's memory: what a run keeps there, and what is left for activations and the cache of responses.
 *
 * @param freeBytes once everything is there
 */
export function memoryTable(device: string, kept: readonly Kept[], freeBytes: number): string {
  const rows = [...kept, { what: 'left for activations and the cache', bytes: freeBytes }];
  const width = Math.max(...rows.map(({ what }) => what.length));
  const lines = rows.map(
    ({ what, bytes }) => `  ${what.padEnd(width)} ${(bytes / 2 ** 30).toFixed(2).padStart(7)}`,
  );
  return [`memory of ${device}, GiB`, ...lines].join('\n');
}

/** Bytes of a device's own memory that nobody has; null where it has none of its own. */
export function freeBytesOf(name: DeviceName): number | null {
  if (name === 'cpu') return null;
  using device = openDevice({ device: name });
  return device.freeBytes();
}

/** An error with the keys to lower, where a card's memory was too small; any other as it is. */
export function withWayOut(error: unknown): unknown {
  if (!(error instanceof CxmindError) || error.code !== 'DEVICE_OUT_OF_MEMORY') return error;
  const wayOut =
    'lower worker.rollout.gpu_memory_utilization, worker.actor.micro_batch_size_per_device_for_update or ' +
    'trainer.max_staleness (0 keeps one copy of the policy), or set ' +
    'worker.actor.model.enable_gradient_checkpointing=true, worker.actor.offload.offload_optimizer=true or ' +
    'worker.ref.offload.offload_params=true; the same command goes on from the last checkpoint';
  return new CxmindError(error.code, `${error.message}; ${wayOut}`, { cause: error });
}
