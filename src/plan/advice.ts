/** Changes for a config that does not fit a machine: keys, tried one after the other until it does. */
import { CxmindError } from '../errors.ts';
import type { Estimate } from './estimate.ts';
import type { PlannedRun } from './settings.ts';

/** A change of the config, and what it comes to together with those before it. */
export interface Advice {
  /** Items `path.to.key=value` of the command line. */
  readonly items: readonly string[];
  readonly estimate: Estimate;
}

/** A run with some changes, and its estimate. */
export interface Tried {
  readonly run: PlannedRun;
  readonly estimate: Estimate;
  /** Cards of the machine. */
  readonly cards: number;
}

/**
 * Changes that may save memory, in the order of what they cost: nothing first, then time, then what is trained.
 * `trainer.device=auto` is one card, whatever the machine has.
 */
const changes: readonly ((run: PlannedRun, cards: number) => readonly string[])[] = [
  ({ policy: { model } }, cards) =>
    cards > 1 && model.devices.length === 1 && model.devices[0] !== 'cpu'
      ? ['trainer.device=cuda']
      : [],
  ({ step }) => (step.maxStaleness > 0 ? ['trainer.max_staleness=0'] : []),
  ({ policy }) =>
    policy.settings.gradientCheckpointing
      ? []
      : ['worker.actor.model.enable_gradient_checkpointing=true'],
  ({ critic }) =>
    critic === null || critic.settings.gradientCheckpointing
      ? []
      : ['worker.critic.model.enable_gradient_checkpointing=true'],
  ...Array.from({ length: 6 }, () => halvedMicroBatch('update')),
  ...Array.from({ length: 6 }, () => halvedMicroBatch('experience')),
  ({ reference }) =>
    reference === null || reference.model.isOffloaded
      ? []
      : ['worker.ref.offload.offload_params=true'],
  ({ policy }) =>
    policy.settings.optimization.offloadsState === true
      ? []
      : ['worker.actor.offload.offload_optimizer=true'],
  ({ critic }) =>
    critic === null || critic.settings.optimization.offloadsState === true
      ? []
      : ['worker.critic.offload.offload_optimizer=true'],
  ({ policy }) =>
    policy.settings.optimization.storage === 'bf16'
      ? []
      : ['worker.actor.fsdp.torch_dtype=bf16', 'worker.actor.optim.strategy=adamw_bf16'],
  ({ policy }) => (policy.model.lora === null ? ['worker.actor.model.lora.rank=16'] : []),
  ({ policy }) => (policy.model.isOffloaded ? [] : ['worker.actor.offload.offload_params=true']),
];

/** The change that halves the micro-batches of the policy and the critic in one kind of passes. */
function halvedMicroBatch(passes: 'update' | 'experience') {
  const key = `micro_batch_size_per_device_for_${passes}`;
  const field = `${passes}MicroBatch` as const;
  return ({ policy, critic }: PlannedRun): readonly string[] => [
    ...halved(`worker.actor.${key}`, policy.settings[field].size),
    ...(critic ? halved(`worker.critic.${key}`, critic.settings[field].size) : []),
  ];
}

function halved(key: string, size: number): string[] {
  return size > 1 ? [`${key}=${Math.floor(size / 2)}`] : [];
}

/** A plan of the run with these items laid over its config. */
type TryWith = (items: readonly string[]) => Promise<Tried>;

/**
 * Finds changes by which a run fits. Changes that save memory are added until it does, and then those that are not
 * needed are dropped. A change that the config's rules refuse is left out.
 *
 * @param first the run as it is, which does not fit
 * @returns the changes in order, each with what they come to; the last one fits, unless nothing is enough
 */
export async function advise(first: Tried, tryWith: TryWith): Promise<Advice[]> {
  const taken: (readonly string[])[] = [];
  let last = first;
  for (const change of changes) {
    if (last.estimate.fits) break;
    const items = change(last.run, last.cards);
    if (items.length === 0) continue;
    const tried = await tryWith([...taken.flat(), ...items]).catch(refused);
    if (tried === null || excessOf(tried.estimate) >= excessOf(last.estimate)) continue;
    taken.push(items);
    last = tried;
  }
  const needed = last.estimate.fits ? await withoutNeedless(taken, tryWith) : taken;
  return Array.fromAsync(needed, async (items, i) => {
    const { estimate } = await tryWith(needed.slice(0, i + 1).flat());
    return { items, estimate };
  });
}

/** The changes less those, from the first on, without which the others are enough. */
async function withoutNeedless(
  all: readonly (readonly string[])[],
  tryWith: TryWith,
): Promise<readonly (readonly string[])[]> {
  let needed = all;
  for (const one of all) {
    const others = needed.filter((items) => items !== one);
    const tried = await tryWith(others.flat()).catch(refused);
    if (tried?.estimate.fits === true) needed = others;
  }
  return needed;
}

/** Bytes that lie over the memory of a machine. */
function excessOf({ memory }: Estimate): number {
  return memory.reduce(
    (sum, { peakBytes, capacityBytes }) => sum + Math.max(0, peakBytes - capacityBytes),
    0,
  );
}

function refused(error: unknown): null {
  if (error instanceof CxmindError && error.code === 'CONFIG_INVALID') return null;
  throw error;
}
