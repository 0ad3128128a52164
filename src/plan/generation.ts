/**
 * The generation of a step's responses by one rollout, counted on a device that computes nothing.
 *
 * The schedule is that of continuous batching with responses of one length: prompts are prefilled in passes of as many
 * tokens as the engine takes, and the slots are full until the last responses. Prefill and decoding run the programs of
 * the engine. What attention reads of the cache is added from the lengths.
 */
import { ControlledSampler } from '../generation/controlled-sampler.ts';
import { DecodeBlocks } from '../generation/cpu/decode-blocks.ts';
import { KvCache, lengthFor } from '../generation/cpu/kv-cache.ts';
import { takeDecoderWeights } from '../generation/decoder-weights.ts';
import { decoderFor, passTokensOn } from '../generation/limits.ts';
import { KernelSampler } from '../generation/kernel-sampler.ts';
import { PagedDecoder } from '../generation/paged-decoder.ts';
import { Prefill, type PrefilledPrompt } from '../generation/prefill.ts';
import { FEWEST_COLUMNS, type DecodeForm } from '../model/decode-form.ts';
import { pictureTokens, type TextConfig } from '../model/model-config.ts';
import { modelWeights, type ModelWeights } from '../model/model-weights.ts';
import { packPrompts, type PromptInput } from '../model/pack.ts';
import type { Sampling } from '../generation/sampler.ts';
import type { View } from '../device/device.ts';
import { cutEvery } from '../training/micro-batches.ts';
import { bytesPerElement, type FloatDType } from '../tensor/dtype.ts';
import type { CountedDevice } from './counted/device.ts';
import { sumOf, timesWork, workOf, type Work } from './counted/work.ts';
import { placedWeights } from './passes.ts';
import type { PlannedRun } from './settings.ts';
import type { SizedModel } from './sizes.ts';

/** A rollout's share of a step. */
export interface GenerationPlan {
  readonly prompts: readonly PromptInput[];
  /** Responses to a prompt. */
  readonly responses: number;
  readonly responseTokens: number;
  /** Tokens of the longest prompt and response together, for which the cache has room. */
  readonly longest: number;
  readonly engine: PlannedRun['rollout']['engine'];
  readonly dtype: FloatDType;
}

/** The work of a generation, and the memory of its cache. */
export interface CountedGeneration {
  readonly prefill: Work;
  readonly decode: Work;
  /** Bytes of keys and values where every slot has its longest sequence. */
  readonly cacheBytes: number;
  /** Bytes of one such sequence, without which nothing can be generated. */
  readonly sequenceBytes: number;
  /** The work of decoding where the cache has room for so many sequences: the fewer, the more waves. */
  readonly decodeAt: (slots: number) => Promise<Work>;
}

/** Counts a generation. */
export async function countedGeneration(
  device: CountedDevice,
  model: SizedModel,
  plan: GenerationPlan,
): Promise<CountedGeneration> {
  const { config, isVisionFixed } = model;
  const placed = placedWeights(device, model, plan.dtype);
  const weights = modelWeights(device, config, 'policy', placed);
  const logitBias = device.allocate('f32', [config.text.vocabSize]);
  const sampler = device.hasKernels
    ? new KernelSampler(device, config.text.vocabSize, pictureTokens(config))
    : null;
  const prefill = new Prefill(device, config, weights, logitBias, { isVisionFixed });
  const responses = plan.prompts.length * plan.responses;
  const size = decoderFor(device, {}, { responses, capacity: plan.longest });
  const passes = passesOf(plan, passTokensOn(device, plan.engine), size.slots);
  const works: Work[] = [];
  let entered: readonly PrefilledPrompt[] = [];
  for (const { prompts, count } of passes) {
    const work = await device.ledger.of(async () => {
      const sampling = prompts.map(() => GREEDY);
      const prefilled = await prefill.run(packPrompts(prompts), sampling);
      if (entered.length === 0) entered = prefilled.prompts;
    });
    works.push(timesWork(work, count));
  }
  const decoded = { device, model, weights, plan, logitBias, responses, ...size };
  const decodedIn = (slots: number): Promise<Decoded> =>
    sampler === null
      ? hostDecoding({ ...decoded, slots })
      : pagedDecoding({ ...decoded, slots, sampler, prompt: entered[0]! });
  return {
    prefill: sumOf(works),
    ...(await decodedIn(size.slots)),
    decodeAt: async (slots) => (await decodedIn(slots)).decode,
  };
}

/** Options of a decoder, and the responses that it has to decode. */
interface Decoding {
  readonly device: CountedDevice;
  readonly model: SizedModel;
  readonly weights: ModelWeights;
  readonly plan: GenerationPlan;
  readonly logitBias: View;
  readonly responses: number;
  readonly slots: number;
  readonly capacity: number;
}

type Decoded = Omit<CountedGeneration, 'prefill' | 'decodeAt'>;

const GREEDY: Sampling = { temperature: 0, topK: -1, topP: 1 };

/** Prefill passes by their number of prompts: as many as fill the slots, within the tokens of a pass. */
function passesOf(
  { prompts, responses }: GenerationPlan,
  passTokens: number,
  slots: number,
): { readonly prompts: readonly PromptInput[]; readonly count: number }[] {
  const longest = Math.max(...prompts.map(({ tokenIds }) => tokenIds.data.length));
  const byTokens = Math.floor(passTokens / longest);
  const size = Math.max(1, Math.min(byTokens, Math.ceil(slots / responses)));
  const passes = cutEvery(prompts, size);
  const last = passes.at(-1)!;
  if (last.length === size) return [{ prompts: last, count: passes.length }];
  const whole = passes.length > 1 ? [{ prompts: passes[0]!, count: passes.length - 1 }] : [];
  return [...whole, { prompts: last, count: 1 }];
}

/** Numbers of sequences that are decoded together, and how often: full slots, then the rest. */
function wavesOf({
  responses,
  slots,
}: Decoding): { readonly rows: number; readonly count: number }[] {
  const full = { rows: slots, count: Math.floor(responses / slots) };
  const rest = { rows: responses % slots, count: 1 };
  return [full, rest].filter(({ rows, count }) => rows * count > 0);
}

/** Decoding on the processor (`CpuDecoder`): its programs at each length of the cache, and its own loops. */
async function hostDecoding(decoding: Decoding): Promise<Decoded> {
  const { device, model, weights, plan, logitBias, slots, capacity } = decoding;
  const { text } = model.config;
  const taken = await takeDecoderWeights(model.config, weights);
  const options = { device, config: model.config, weights, taken, logitBias };
  const opened = { rows: null, columns: null } as Record<DecodeForm, DecodeBlocks | null>;
  const promptTokens = promptTokensOf(plan);
  const works: Work[] = [];
  for (const { rows, count } of wavesOf(decoding)) {
    const form = rows < FEWEST_COLUMNS ? 'rows' : 'columns';
    opened[form] ??= new DecodeBlocks(options, form);
    for (const [length, steps] of stepsByLength(promptTokens, plan.responseTokens, capacity)) {
      const work = hostStep(device, text, opened[form], { form, rows, length });
      works.push(timesWork(work, steps * count));
    }
  }
  const buffers = 2 * slots * text.vocabSize * Float32Array.BYTES_PER_ELEMENT;
  const cacheOf = (rows: number): number =>
    KvCache.bytesInUse({ ...text, capacity }, rows, plan.longest);
  return {
    decode: sumOf(works),
    cacheBytes: cacheOf(Math.min(slots, decoding.responses)) + buffers,
    sequenceBytes: cacheOf(1) + buffers,
  };
}

/** Decoding steps by the length that the cache has in them. A response's first token comes from the prefill. */
function stepsByLength(prompt: number, response: number, capacity: number): Map<number, number> {
  const steps = new Map<number, number>();
  for (let made = 1; made < response; made++) {
    const length = lengthFor(prompt + made, capacity);
    steps.set(length, (steps.get(length) ?? 0) + 1);
  }
  return steps;
}

/** One step of `CpuDecoder.step`, whose bindings this follows. */
function hostStep(
  device: CountedDevice,
  text: TextConfig,
  blocks: DecodeBlocks,
  {
    form,
    rows,
    length,
  }: { readonly form: DecodeForm; readonly rows: number; readonly length: number },
): Work {
  const { heads, kvHeads, headDim, hiddenSize, vocabSize, layers } = text;
  const place = (...shape: number[]): View => device.place('f32', shape);
  const { project, attend, distribution } = blocks.open();
  const hidden = form === 'rows' ? place(rows, hiddenSize) : place(hiddenSize, rows);
  const projected = (heads + 2 * kvHeads) * headDim;
  const programs = device.ledger.ofNow(() => {
    for (const layer of project.keys()) {
      project[layer]!.input('hidden', hidden).run();
      attend[layer]!.input('hidden', hidden)
        .input('query', place(rows * kvHeads, heads / kvHeads, headDim + 1))
        .input('keys', place(rows * kvHeads, length, headDim + 1))
        .input('values', place(rows * kvHeads, length, headDim))
        .run();
    }
    distribution.input('hidden', hidden).input('inverseTemperature', place(rows, 1)).run();
  });
  // Heads are turned and put into the cache, embeddings gathered, and tokens drawn, by JavaScript.
  const scalars = rows * (layers * projected + hiddenSize + vocabSize);
  return sumOf([programs, workOf({ scalars })]);
}

/** Decoding on a card (`PagedDecoder`): its recorded step for each number of sequences, and the reading of pages. */
async function pagedDecoding(
  decoding: Decoding & { readonly sampler: KernelSampler; readonly prompt: PrefilledPrompt },
): Promise<Decoded> {
  const { device, model, weights, plan, sampler, logitBias, slots, capacity, prompt } = decoding;
  const { text } = model.config;
  const controlled = new ControlledSampler(device, sampler, logitBias);
  const options = { device, config: model.config, weights, slots, capacity };
  const before = device.memory.allocated;
  const taken = await takeDecoderWeights(model.config, weights);
  const decoder = new PagedDecoder({ ...options, taken, sampler, controlled, memoryShare: 1 });
  const cacheBytes = device.memory.allocated - before;
  const maxTokens = plan.responseTokens;
  for (let slot = 0; slot < slots; slot++) decoder.enter(slot, { prompt, maxTokens });
  const steps = Math.max(0, plan.responseTokens - 1);
  const cached = promptTokensOf(plan) + (steps + 1) / 2;
  const rowBytes = 2 * text.kvHeads * text.headDim * bytesPerElement(plan.dtype);
  const works: Work[] = [];
  for (const { rows, count } of wavesOf(decoding)) {
    const sequences = Array.from({ length: rows }, () => ({
      ...{ token: 0, position: 0, cached: prompt.tokens, sampling: GREEDY, uniform: 0 },
    }));
    await decoder.step(sequences);
    const step = await device.ledger.of(() => decoder.step(sequences));
    const read = rows * cached * text.layers;
    const attention = workOf({
      moved: read * rowBytes,
      batched: 4 * read * text.heads * text.headDim,
    });
    works.push(timesWork(sumOf([step, attention]), steps * count));
  }
  return { decode: sumOf(works), cacheBytes, sequenceBytes: cacheBytes / slots };
}

function promptTokensOf({ prompts }: GenerationPlan): number {
  return prompts.reduce((sum, { tokenIds }) => sum + tokenIds.data.length, 0) / prompts.length;
}
