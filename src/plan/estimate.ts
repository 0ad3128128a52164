/** A counted step on a machine: the seconds of its phases, the memory of its parts, and whether these fit. */
import { sum } from '../algorithms/primitives.ts';
import { bytesPerElement } from '../tensor/dtype.ts';
import { phases, type ActorName, type CountedStep, type Phase } from './count.ts';
import type { PeakMemory } from './counted/device.ts';
import { sumOf, timesWork, weighed, type Work } from './counted/work.ts';
import { keptOnCard, keptOnHost, type Kept } from './kept.ts';
import { ratesOf, type Machine } from './machines.ts';
import type { PlannedRun } from './settings.ts';

/** Memory on a card or on the host, by part. */
export interface PlaceMemory {
  /** `card`, one of those there are, or `host`. */
  readonly place: 'card' | 'host';
  readonly parts: readonly Kept[];
  /** Sum of the parts, which is the most that lies there at a time. */
  readonly peakBytes: number;
  readonly capacityBytes: number;
  readonly fits: boolean;
}

/** A run on a machine. */
export interface Estimate {
  readonly machine: string;
  readonly memory: readonly PlaceMemory[];
  readonly fits: boolean;
  readonly seconds: Readonly<Record<Phase, number>>;
  readonly stepSeconds: number;
  /** Prompt and response tokens that a second trains on. */
  readonly tokensPerSecond: number;
}

/** Threads with models of a run that has a reference and no critic. */
const MODEL_ACTORS = 3;
/**
 * Memory of a thread with a model beside its tensors and programs. The quickstart's small steps take 38 MiB less without
 * a reference and 37 MiB more with a critic, other parts left out (Node 24).
 */
const THREAD_BYTES = 37 * 2 ** 20;
/**
 * Memory of the thread of a user's function, by which the quickstart's small steps take more than by a built-in reward.
 */
const FUNCTION_BYTES = 13 * 2 ** 20;
/** Memory of ONNX Runtime's session for a program: 1.1 MiB for a decoder layer's, 0.4 MiB for a tower's block. */
const PROGRAM_BYTES = 0.85 * 2 ** 20;

/**
 * Estimates a step on a machine.
 *
 * @param run.baseBytes memory of the process with its libraries and threads, of which `MODEL_ACTORS` have models
 */
export async function estimated(
  counted: CountedStep,
  machine: Machine,
  { computeDType, threads }: Pick<PlannedRun['policy']['model'], 'computeDType' | 'threads'>,
  run: { readonly memoryShare: number; readonly baseBytes: number },
): Promise<Estimate> {
  const rates = ratesOf(machine, counted.kind, computeDType, threads);
  const caches = cachesOn(counted, machine, run.memoryShare);
  const memory = memoryOn(counted, machine, run.baseBytes, sum(caches));
  const fits = memory.every((place) => place.fits);
  // What does not fit has no time; it is told that of a run with room, to compare with.
  const decode = fits ? await decodeWork(counted, caches) : counted.work.decode;
  const work = { ...counted.work, decode };
  const seconds = Object.fromEntries(
    phases.map((phase) => [phase, weighed(work[phase], rates)]),
  ) as Record<Phase, number>;
  const stepSeconds = phases.reduce((sum, phase) => sum + seconds[phase], 0);
  return {
    machine: machine.name,
    memory,
    fits,
    seconds,
    stepSeconds,
    tokensPerSecond: counted.tokens / stepSeconds,
  };
}

/**
 * Bytes of each rollout's cache on a device. On a card, each takes no more than its share of what is free when it opens,
 * and no less than one sequence.
 */
function cachesOn(
  { kind, kept, cache, places }: CountedStep,
  machine: Machine,
  share: number,
): number[] {
  const { cacheBytes, sequenceBytes } = cache;
  if (kind === 'cpu') return Array<number>(places.rolloutsADevice).fill(cacheBytes);
  let free = cardBytes(machine) - sum(keptOnCard(kept).map(({ bytes }) => bytes));
  return Array.from({ length: places.rolloutsADevice }, () => {
    const taken = Math.max(sequenceBytes, Math.min(cacheBytes, share * free));
    free -= taken;
    return taken;
  });
}

/** The work of decoding by the rollouts of a device, of which some may have less cache than they have responses. */
async function decodeWork({ work, cache }: CountedStep, caches: readonly number[]): Promise<Work> {
  const works = await Array.fromAsync(caches, (bytes) =>
    bytes < cache.cacheBytes
      ? cache.decodeAt(Math.floor(bytes / cache.sequenceBytes))
      : timesWork(work.decode, 1 / caches.length),
  );
  return sumOf(works);
}

function cardBytes({ cards }: Machine): number {
  return (cards?.memoryGib ?? 0) * 2 ** 30;
}

function memoryOn(
  counted: CountedStep,
  machine: Machine,
  baseBytes: number,
  cacheBytes: number,
): PlaceMemory[] {
  const isOnCard = counted.kind === 'cuda';
  const memories = Object.values<PeakMemory>(counted.actors);
  const { rolloutsADevice, learnersADevice, functions } = counted.places;
  const shared = rolloutsADevice - 1 + (counted.kept.critic ? 2 : 1) * (learnersADevice - 1);
  const threads = memories.length + shared - MODEL_ACTORS;
  const programs = memories.reduce((sum, memory) => sum + memory.programs, 0);
  const ofHost = [
    ...keptOnHost(counted.kept, isOnCard),
    ...(isOnCard ? [] : computingParts(counted, cacheBytes)),
    { what: 'prompts, responses and experience', bytes: counted.experienceBytes },
    {
      what: 'process, threads and libraries',
      bytes: baseBytes + threads * THREAD_BYTES + functions * FUNCTION_BYTES,
    },
    { what: 'compiled programs', bytes: programs * PROGRAM_BYTES },
  ];
  const host = placed('host', ofHost, machine.host.memoryGib * 2 ** 30);
  if (!isOnCard) return [host];
  const parts = [...keptOnCard(counted.kept), ...computingParts(counted, cacheBytes)];
  return [placed('card', parts, cardBytes(machine)), host];
}

/**
 * Memory that computing takes. On a card, the actors give back the memory of their passes one after the other, so the
 * largest counts. Weights that are offloaded are on it while they are used: all of the policy's with its cache while
 * responses are sampled, one module's in any other pass.
 */
function computingParts({ kind, actors, kept, cache }: CountedStep, cacheBytes: number): Kept[] {
  const { policy, reference } = kept;
  const memories = Object.entries(actors) as [ActorName, PeakMemory][];
  const inside = memories.map(([, memory]) => memory.inside);
  const isCard = kind === 'cuda';
  const stagedBy = (name: ActorName): number => {
    if (!isCard) return 0;
    if (name === 'rollout') {
      const weights = policy.layout.length * bytesPerElement(policy.computeDType);
      return policy.isOffloaded ? weights + cacheBytes : 0;
    }
    const isOffloaded =
      name === 'reference' ? reference?.isOffloaded : kept[ownerOf[name]]?.isOffloaded;
    return isOffloaded === true ? cache.largestModuleBytes : 0;
  };
  const passes = memories.map(([name, { workspaces }]) => workspaces + stagedBy(name));
  return [
    { what: 'activations of passes', bytes: isCard ? Math.max(...passes) : sum(passes) },
    {
      what: "tensors inside of programs, in ONNX Runtime's arenas",
      bytes: isCard ? sum(inside) : Math.max(...inside),
    },
    {
      what: 'cache of keys and values',
      bytes: isCard && policy.isOffloaded ? 0 : cacheBytes,
    },
  ].filter(({ bytes }) => bytes > 0);
}

/** The model that an actor trains. */
const ownerOf = { learner: 'policy', critic: 'critic' } as const;

function placed(
  place: PlaceMemory['place'],
  parts: readonly Kept[],
  capacityBytes: number,
): PlaceMemory {
  const peakBytes = sum(parts.map(({ bytes }) => bytes));
  return { place, parts, peakBytes, capacityBytes, fits: peakBytes <= capacityBytes };
}
