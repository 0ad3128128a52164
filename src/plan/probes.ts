/**
 * Measurements of this machine's own programs: a model is run on its processor, and counted on a device that computes
 * nothing.
 *
 * The model has the widths of the run's own, few layers, and weights of one number each: the time of a product does not
 * depend on its numbers. Probes run for a second each, after some runs to compile; the median counts. Longer passes are
 * left out where shorter ones show that they would take too long, so that a wide model takes about a minute too.
 */
import { CpuDevice } from '../device/cpu/device.ts';
import { GenerationEngine } from '../generation/engine.ts';
import type { ModelConfig } from '../model/model-config.ts';
import { packSequences, type PromptInput, type SequenceInput } from '../model/pack.ts';
import { Policy } from '../model/policy.ts';
import { parameterGroups } from '../model/parameters.ts';
import { Arena } from '../model/weights/arena.ts';
import { layOut, parameterCount } from '../model/weights/arena-layout.ts';
import { Optimization } from '../training/optimization.ts';
import { sequenceLength, totalLength } from '../training/experience.ts';
import { CountedDevice } from './counted/device.ts';
import { sumOf } from './counted/work.ts';
import type { Measurement } from './fit.ts';
import { countedGeneration, type GenerationPlan } from './generation.ts';
import { openCounted, scoringWork, updateWork } from './passes.ts';
import { madePrompts, madeResponses } from './prompts.ts';
import { sizedBy, type SizedModel } from './sizes.ts';

/** Most runs of a probe before those that count, in which V8 compiles; they end after `RUN_SECONDS`. */
const WARMUPS = 3;
/** Fewest runs that count, and seconds over which there are more. */
const [RUNS, RUN_SECONDS] = [3, 1];
/** Seconds after which a probe begins no further run. A probe with a longer run, as far as known, is left out. */
const MOST_SECONDS = 4;
/** Most parameters of a model that is run whole. */
const WHOLE = 2 ** 26;
/** Layers of a larger model that are run. */
const LAYERS = 2;
/** Tokens of the passes that are measured, about, besides those of the run. */
const PASS_TOKENS = [256, 1024, 4096];
/** Most tokens of a prompt of the run that probes take; where all are longer, prompts are made of `MADE_TOKENS`. */
const [PROMPT_TOKENS, MADE_TOKENS] = [128, 64];
/** Side of the picture of such a prompt, in tokens. */
const MADE_SIDE = 6;
/** Sequences that are decoded together, and tokens of each. */
const DECODED = [
  { prompts: 1, responses: 4, responseTokens: 16 },
  { prompts: 4, responses: 8, responseTokens: 16 },
  { prompts: 4, responses: 8, responseTokens: 64 },
];

/** Settings of the run whose programs are measured. */
interface ProbeOptions {
  readonly gradientCheckpointing: boolean;
  /** Responses to each prompt. */
  readonly n: number;
  readonly responseTokens: number;
  /** Tokens of the run's micro-batches. A byte or an operation takes longer in passes that no cache holds. */
  readonly passTokens: readonly number[];
  /** Compute threads; null is one per core. */
  readonly threads: number | null;
}

/** A model of the same widths that is small enough to be run often. */
function probedConfig(config: ModelConfig): ModelConfig {
  if (parameterCount(layOut(parameterGroups(config))) <= WHOLE) return config;
  const { text, vision } = config;
  return {
    ...config,
    text: { ...text, layers: Math.min(LAYERS, text.layers) },
    vision: vision && {
      ...vision,
      depth: Math.min(LAYERS, vision.depth),
      windows: vision.windows && { ...vision.windows, fullBlocks: [LAYERS - 1] },
      deepstackBlocks: vision.deepstackBlocks.filter((block) => block < LAYERS),
    },
  };
}

/**
 * Measures scoring, training and generation.
 *
 * @param given prompts of the run, or like them
 */
export async function probed(
  whole: ModelConfig,
  given: readonly PromptInput[],
  { gradientCheckpointing, n, responseTokens, passTokens, threads }: ProbeOptions,
): Promise<Measurement[]> {
  const config = probedConfig(whole);
  const model = sizedBy(config, { lora: null, freezeVisionTower: false, learners: 1 }, 'policy');
  using device = new CpuDevice(threads === null ? {} : { threads });
  const arena = new Arena(model.layout);
  arena.data.fill(0.01);
  const measurements: Measurement[] = [];
  const prompts = probePrompts(config, given);
  using policy = new Policy(device, config, arena, { gradientCheckpointing });
  const counting = openCounted(new CountedDevice('cpu'), model, 'f32', gradientCheckpointing);
  let last = { tokens: 0, seconds: 0 };
  for (const tokens of [...PASS_TOKENS, ...passTokens].toSorted((a, b) => a - b)) {
    const some = samplesOf(prompts, n, { tokens, responseTokens });
    const length = totalLength(some);
    if (length === last.tokens || last.seconds * length > MOST_SECONDS * last.tokens) continue;
    const microBatch = { size: some.length, dynamic: false, maxTokens: tokens };
    measurements.push({
      work: await scoringWork(counting, some, microBatch),
      seconds: await timed(() => policy.scores(packSequences(some))),
    });
    const settings = {
      ...{ gradientCheckpointing, experienceMicroBatch: microBatch },
      ...{ updateMicroBatch: microBatch, optimization: OPTIMIZATION },
    };
    using optimization = new Optimization(device, arena, OPTIMIZATION);
    const update = {
      work: await updateWork(counting, some, {
        ...{ settings, updates: { miniBatchSize: some.length, epochs: 1 } },
        ...{ learners: 1, dtype: 'f32' },
      }),
      seconds: await timed(async () => {
        optimization.clearGradients();
        const zeros = (scores: Float32Array) => scores.map(() => 1e-6);
        await policy.accumulateGradients(packSequences(some), 1, zeros, optimization.gradients);
        await optimization.step(0);
      }),
    };
    measurements.push(update);
    last = { tokens: length, seconds: update.seconds };
  }
  for (const { prompts: count, ...each } of DECODED) {
    const few = prompts.slice(0, count);
    measurements.push(await probedGeneration(device, model, arena, { prompts: few, ...each }));
  }
  return measurements;
}

const OPTIMIZATION = { betas: [0.9, 0.999], weightDecay: 0, maxGradNorm: 1 } as const;

async function probedGeneration(
  device: CpuDevice,
  model: SizedModel,
  arena: Arena,
  sizes: Pick<GenerationPlan, 'prompts' | 'responses' | 'responseTokens'>,
): Promise<Measurement> {
  const { prompts, responses, responseTokens } = sizes;
  const engine = { maxPrefillTokens: 8192, memoryShare: 0.6 };
  const longest = Math.max(...prompts.map(({ tokenIds }) => tokenIds.data.length));
  const { prefill, decode } = await countedGeneration(new CountedDevice('cpu'), model, {
    ...sizes,
    ...{ engine, dtype: 'f32', longest: longest + responseTokens },
  });
  using real = new GenerationEngine(device, model.config, arena, { ...engine, bannedTokens: [] });
  const requests = prompts.map((prompt, i) => ({
    ...{ prompt, maxTokens: responseTokens, stopTokens: [] },
    sampling: { temperature: 1, topK: -1, topP: 1 },
    seeds: Array.from({ length: responses }, (_, sample) => [i, sample] as const),
  }));
  return { work: sumOf([prefill, decode]), seconds: await timed(() => real.generate(requests)) };
}

/** Short prompts of the run, or made ones where it has none. */
function probePrompts(config: ModelConfig, given: readonly PromptInput[]): readonly PromptInput[] {
  const short = given.filter(({ tokenIds }) => tokenIds.data.length <= PROMPT_TOKENS);
  if (short.length > 0) return short;
  const { vision } = config;
  const side = vision === null ? 0 : MADE_SIDE * vision.patchSize * vision.mergeSize;
  const pictures = vision === null ? 0 : 1;
  const lengths = { promptTokens: MADE_TOKENS, pictures, picture: [side, side] as const };
  return madePrompts(config, lengths, given.length);
}

/** Samples that have about so many tokens together; two at least, of responses that are cut for it. */
function samplesOf(
  prompts: readonly PromptInput[],
  n: number,
  { tokens, responseTokens }: { readonly tokens: number; readonly responseTokens: number },
): SequenceInput[] {
  const longest = Math.max(...prompts.map(({ tokenIds }) => tokenIds.data.length));
  const room = Math.max(1, Math.floor(tokens / 2) - longest);
  const samples = madeResponses(prompts, n, Math.min(responseTokens, room));
  return samples.slice(0, Math.max(2, Math.round(tokens / sequenceLength(samples[0]!))));
}

/** Median seconds of a call. */
async function timed(call: () => Promise<unknown>): Promise<number> {
  const since = (start: number): number => (performance.now() - start) / 1000;
  const opened = performance.now();
  for (let run = 0; run < WARMUPS && since(opened) < RUN_SECONDS; run++) await call();
  const seconds: number[] = [];
  const begun = performance.now();
  const isShort = (): boolean => seconds.length < RUNS || since(begun) < RUN_SECONDS;
  while (seconds.length === 0 || (isShort() && since(begun) < MOST_SECONDS)) {
    const start = performance.now();
    await call();
    seconds.push(since(start));
  }
  return seconds.sort((a, b) => a - b)[Math.floor(seconds.length / 2)]!;
}
