/**
 * Memory of a run's cards in words: what is kept there and what is left, and the keys to lower where it is too small.
 */
import { CxmindError } from '../../src/errors.ts';
import { keptOnCard as keptByCard, keptRun, type Kept } from '../../src/plan/kept.ts';
import type { LoadedModel } from './models.ts';
import type { RunPlan } from './plan.ts';

/** Lists what a run keeps on each card with a learner; the reference is on the last card alone. */
export function keptOnCard(
  plan: Pick<RunPlan, 'policy' | 'critic' | 'reference' | 'placement' | 'step'>,
  { policy, critic }: { readonly policy: LoadedModel; readonly critic: LoadedModel | null },
): Kept[] {
  const sizesOf = ({ arena: { layout }, adapter, frozenLength }: LoadedModel) => ({
    ...{ layout, frozenLength },
    adapter: adapter && { layout: adapter.arena.layout },
  });
  const sizes = { policy: sizesOf(policy), critic: critic && sizesOf(critic) };
  return keptByCard(keptRun(plan, sizes, plan.placement.learners));
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
